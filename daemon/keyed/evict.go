package keyed

const (
	epochsARoom = 16 // an epoch is as many new keys as a sixteenth of the room
	tooYoung    = epochsARoom / 4
	looked      = 4 // buckets looked at for the best victim, more if none will do
)

// evict makes room for one entry, by the rule in the package's comment. Keys
// stand where their hash says, so a few buckets in a row are a fair sample.
func (sh *shard) evict(now int64) {
	last := sh.classesToSpare()
	best, rank := -1, 0
	for n := 0; n < len(sh.buckets) && (n < looked || best < 0); n++ {
		for w := range ways {
			e := &sh.buckets[sh.hand][w]
			if e.mark == 0 {
				continue
			}
			if e.ended(now) {
				sh.remove(sh.hand*ways + w)
				return
			}
			if r := sh.rank(e, last); r > rank {
				best, rank = sh.hand*ways+w, r
			}
		}
		sh.hand = sh.next(sh.hand)
	}
	if best < 0 {
		best = sh.any()
	}
	sh.evicted++
	sh.remove(best)
}

// classesToSpare is the highest class from which a victim may come: 0 as long
// as entries used once fill half of the shard.
func (sh *shard) classesToSpare() int {
	if sh.count[0]*2 >= sh.room {
		return 0
	}
	sum := 0
	for c := 1; c < classes; c++ {
		if sum += sh.count[c]; sum > 0 && sum*8 >= sh.room {
			return c
		}
	}
	return classes - 1
}

// rank is how fit an entry is to give way, 0 if it is not.
func (sh *shard) rank(e *entry, last int) int {
	c := class(e.uses())
	switch {
	case last == 0 && c == 0:
		return max(0, sh.age(e)-tooYoung)
	case last > 0 && c > 0 && c <= last:
		return classes - c
	}
	return 0
}

// any is the oldest entry of the lowest class there is, for a shard so small or
// entries that stayed so long that no age tells them apart.
func (sh *shard) any() int {
	best, lowest, oldest := -1, classes, 0
	for i := range sh.buckets {
		for w := range ways {
			e := &sh.buckets[i][w]
			if e.mark == 0 {
				continue
			}
			c, age := class(e.uses()), sh.age(e)
			if c < lowest || c == lowest && age > oldest {
				best, lowest, oldest = i*ways+w, c, age
			}
		}
	}
	return best
}

// age is the epochs since an entry came.
func (sh *shard) age(e *entry) int { return int(sh.epoch-e.epoch()) & (epochs - 1) }
