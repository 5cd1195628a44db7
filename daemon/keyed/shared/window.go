package shared

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/sallyport/sallyport/daemon/keyed"
)

// take judges and counts in one step. KEYS are the windows, one a rate. ARGV:
// the cost, 1 if refused calls count too, then amount and microseconds a rate.
// It answers refused (0 or 1), which rate, the wait in microseconds, and the
// counts of all rates as text.
//
// A window is a hash: t is the newest part's number, 0 to 15 are the counts of
// sixteen parts, and s0 to s15 say in which tenths of each its first and its
// last event came, as ten times the one and the other.
const take = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local n, always = tonumber(ARGV[1]), ARGV[2] == '1'
local refused, which, wait = 0, 0, 0
local counts, ticks, lasts, olds, tenths = {}, {}, {}, {}, {}
for i, key in ipairs(KEYS) do
  local amount, window = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local width = math.ceil(window / 15)
  local tick = math.floor(now / width)
  local part = (now % width) / width
  local h = redis.call('HMGET', key, 't', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15',
    's0', 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8', 's9', 's10', 's11', 's12', 's13', 's14', 's15')
  local last = tonumber(h[1]) or tick
  local parts, from, to, sum = {}, {}, {}, 0
  for back = 0, 15 do
    local slot, v = (tick - back) % 16, 0
    if tick - back <= last and last - (tick - back) <= 15 then v = tonumber(h[slot + 2]) or 0 end
    local span = tonumber(h[slot + 18]) or 9
    from[back], to[back] = math.floor(span / 10) / 10, (span % 10 + 1) / 10
    if back == 15 then
      v = v * math.max(0, math.min(1, (to[back] - part) / (to[back] - from[back])))
      from[back] = math.max(from[back], part)
    end
    parts[back] = v
    sum = sum + v
  end
  counts[i], ticks[i], lasts[i], tenths[i] = sum + n, tick, last, math.floor(part * 10)
  olds[i] = parts[0] > 0 and h[tick % 16 + 18]
  if sum + n > amount + 1e-9 and n > 0 then
    local need, past = sum + n - amount, window
    for back = 15, 0, -1 do
      if parts[back] >= need and parts[back] > 0 then
        past = width * (15 - back - part + from[back] + (to[back] - from[back]) * need / parts[back])
        break
      end
      need = need - parts[back]
    end
    if refused == 0 or past > wait then which = i end
    refused = 1
    wait = math.max(wait, math.min(past, window))
  end
end
if n > 0 and (refused == 0 or always) then
  for i, key in ipairs(KEYS) do
    local window = tonumber(ARGV[2 + 2 * i])
    local tick, last, first, final = ticks[i], lasts[i], tenths[i], tenths[i]
    for back = 0, math.min(tick - last, 16) - 1 do
      local slot = (tick - back) % 16
      redis.call('HDEL', key, slot, 's' .. slot)
    end
    if olds[i] then
      first, final = math.min(first, math.floor(olds[i] / 10)), math.max(final, olds[i] % 10)
    end
    redis.call('HINCRBYFLOAT', key, tick % 16, ARGV[1])
    redis.call('HSET', key, 't', string.format('%.0f', tick), 's' .. tick % 16, string.format('%.0f', first * 10 + final))
    redis.call('PEXPIRE', key, math.ceil(window * 16 / 15000) + 1)
  end
end
local out = {refused, which, math.ceil(wait)}
for i, v in ipairs(counts) do out[3 + i] = string.format('%.17g', v) end
return out`

var takeScript = rueidis.NewLuaScript(take)

// Result is what Redis says of a request.
type Result struct {
	Refused bool
	Rate    int           // the rate that refused, or is fullest
	Count   float64       // in that rate's window, the request included
	Wait    time.Duration // until it would be let through, if nothing else were
}

// Take asks Redis whether n more fit into all rates of key, and counts them if
// so. ok is false when Redis did not answer within the deadline; then the
// caller decides alone, and Note tells Redis later.
func (c *Client) Take(key uint64, now time.Time, rates []Rate, n float64, always bool) (r Result, ok bool) {
	client := c.redis.Load()
	if client == nil || c.away.Load() {
		return r, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.o.Deadline)
	defer cancel()
	e := c.exec(key, rates, n, always)
	answer, err := takeScript.Exec(ctx, *client, e.Keys, e.Args).ToArray()
	if err == nil {
		r, err = result(answer, rates)
	}
	if err != nil {
		c.failed(err)
		return Result{}, false
	}
	c.missed.Store(0)
	return r, true
}

func (c *Client) exec(key uint64, rates []Rate, n float64, always bool) rueidis.LuaExec {
	e := rueidis.LuaExec{Keys: make([]string, len(rates)), Args: make([]string, 2, 2+2*len(rates))}
	e.Args[0], e.Args[1] = strconv.FormatFloat(n, 'g', -1, 64), "0"
	if always {
		e.Args[1] = "1"
	}
	for i, r := range rates {
		us := r.Window.Microseconds()
		// The braces keep a key's windows on one node of a cluster.
		e.Keys[i] = fmt.Sprintf("%s:{%016x}:%d", c.o.Prefix, key, us)
		e.Args = append(e.Args, strconv.FormatFloat(r.Amount, 'g', -1, 64), strconv.FormatInt(us, 10))
	}
	return e
}

func result(answer []rueidis.RedisMessage, rates []Rate) (r Result, err error) {
	if len(answer) != 3+len(rates) {
		return r, fmt.Errorf("the script gave %d values, %d expected", len(answer), 3+len(rates))
	}
	var n [3]int64
	for i := range n {
		if n[i], err = answer[i].AsInt64(); err != nil {
			return r, err
		}
	}
	r.Refused, r.Rate, r.Wait = n[0] == 1, int(n[1])-1, time.Duration(n[2])*time.Microsecond
	fullest := -1.0
	for i := range rates {
		count, err := answer[3+i].AsFloat64()
		if err != nil {
			return r, err
		}
		share := count / rates[i].Amount
		if r.Refused && i == r.Rate || !r.Refused && share > fullest {
			r.Rate, r.Count, fullest = i, count, share
		}
	}
	return r, nil
}

// Use has the client keep what it hears of the other gateways in s.
func (c *Client) Use(s *keyed.Store) {
	if c.state.Load() != s {
		c.state.Store(s)
	}
}

// Note remembers that n was counted here under key, to be told to Redis. With
// n of 0 it asks what the others counted.
func (c *Client) Note(key uint64, now time.Time, rates []Rate, n float64) {
	c.mu.Lock()
	p, ok := c.pending[key]
	if ok || len(c.pending) < maxPending {
		c.pending[key] = pending{rates, p.n + n}
	}
	c.mu.Unlock()
}

// Others is what the other gateways counted in the last window, as of the last
// merge; 0 when that is long ago.
func (c *Client) Others(key uint64, window time.Duration, now time.Time) float64 {
	s := c.state.Load()
	if s == nil {
		return 0
	}
	return math.Float64frombits(s.Bits(othersKey(key, window), now))
}

func othersKey(key uint64, window time.Duration) keyed.Key {
	return keyed.Key((key ^ uint64(window)) * 0x9E3779B97F4A7C15)
}

// sync merges what was counted here and hears the sums.
func (c *Client) sync() {
	c.mu.Lock()
	todo := c.pending
	c.pending, c.spare = c.spare, nil
	c.mu.Unlock()
	client := c.redis.Load()
	keys := make([]uint64, 0, batch)
	execs := make([]rueidis.LuaExec, 0, batch)
	failed := false
	flush := func() {
		if len(keys) == 0 || failed {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), max(time.Second, c.o.Every))
		answers := takeScript.ExecMulti(ctx, *client, execs...)
		cancel()
		for i, a := range answers {
			p := todo[keys[i]]
			values, err := a.ToArray()
			if err != nil {
				c.failed(err)
				failed = true
				break
			}
			c.hear(keys[i], p, values)
			delete(todo, keys[i])
			c.missed.Store(0)
		}
		keys, execs = keys[:0], execs[:0]
	}
	for key, p := range todo {
		e := c.exec(key, p.rates, p.n, true)
		keys, execs = append(keys, key), append(execs, e)
		if len(keys) == batch {
			flush()
		}
	}
	flush()
	c.mu.Lock()
	for key, p := range todo { // not told: with the next merge
		if now, ok := c.pending[key]; ok || len(c.pending) < maxPending {
			c.pending[key] = pending{p.rates, p.n + now.n}
		}
	}
	clear(todo)
	c.spare = todo
	c.mu.Unlock()
}

// hear keeps what others counted: the sum less what was counted here.
func (c *Client) hear(key uint64, p pending, values []rueidis.RedisMessage) {
	s := c.state.Load()
	if s == nil || len(values) != 3+len(p.rates) {
		return
	}
	c.mu.Lock()
	untold := c.pending[key].n
	c.mu.Unlock()
	now := time.Now()
	for i, r := range p.rates {
		sum, err := values[3+i].AsFloat64()
		if err != nil {
			continue
		}
		own := s.Count(keyed.Key(key), now, r.Window) - untold
		others := max(0, sum-own)
		if others < 0.5 && others < r.Amount/100 {
			others = 0
		}
		if others == 0 && s.Bits(othersKey(key, r.Window), now) == 0 {
			continue
		}
		s.SetBits(othersKey(key, r.Window), now, 5*c.o.Every+time.Second, ^uint64(0), math.Float64bits(others))
	}
}
