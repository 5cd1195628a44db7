package shared

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// Bounds of messages. Past maxQueued what is published is dropped; Redis keeps
// the last maxKept of a topic.
const (
	maxQueued  = 4096
	maxKept    = 10_000
	maxRead    = 1000
	maxMessage = 4 << 10
)

// publish appends messages to a topic: a sorted set by a running number.
// KEYS: the set and its counter. ARGV: how many to keep, then the messages.
const publish = `
for i = 2, #ARGV do
  local n = redis.call('INCR', KEYS[2])
  redis.call('ZADD', KEYS[1], n, string.format('%.0f', n) .. ' ' .. ARGV[i])
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[1]))
return redis.call('GET', KEYS[2])`

var publishScript = rueidis.NewLuaScript(publish)

type topics struct {
	mu     sync.Mutex
	queued map[string][]string
	n      int
	heard  map[string]*subscription
}

type subscription struct {
	last  int64 // the number of the last message heard, -1 before the first look
	old   bool  // hear what was published before
	hears func(message string)
}

// Publish tells the other gateways, and this one, with the next merge.
func (c *Client) Publish(topic, message string) {
	if len(message) > maxMessage {
		return
	}
	t := &c.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n >= maxQueued {
		return
	}
	if t.queued == nil {
		t.queued = map[string][]string{}
	}
	t.queued[topic] = append(t.queued[topic], message)
	t.n++
}

// Subscribe has f hear the messages of a topic, in order, from one goroutine;
// with old those kept in Redis as well. A later call replaces f.
func (c *Client) Subscribe(topic string, old bool, f func(message string)) {
	t := &c.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.heard == nil {
		t.heard = map[string]*subscription{}
	}
	if s := t.heard[topic]; s != nil {
		s.hears = f
		return
	}
	t.heard[topic] = &subscription{last: -1, old: old, hears: f}
}

func (c *Client) topicKeys(topic string) (set, counter string) {
	return c.o.Prefix + ":{" + topic + "}:log", c.o.Prefix + ":{" + topic + "}:n"
}

// talk sends what was published and hands out what came.
func (c *Client) talk() {
	client := *c.redis.Load()
	ctx, cancel := context.WithTimeout(context.Background(), max(time.Second, c.o.Every))
	defer cancel()
	t := &c.topics
	t.mu.Lock()
	queued := t.queued
	t.queued, t.n = nil, 0
	heard := make(map[string]*subscription, len(t.heard))
	for name, s := range t.heard {
		heard[name] = s
	}
	t.mu.Unlock()
	for topic, messages := range queued {
		set, counter := c.topicKeys(topic)
		if err := publishScript.Exec(ctx, client, []string{set, counter}, append([]string{strconv.Itoa(maxKept)}, messages...)).Error(); err != nil {
			c.failed(err)
			for _, m := range messages {
				c.Publish(topic, m)
			}
			return
		}
	}
	for topic, s := range heard {
		if err := c.listen(ctx, client, topic, s); err != nil {
			c.failed(err)
			return
		}
	}
}

func (c *Client) listen(ctx context.Context, client rueidis.Client, topic string, s *subscription) error {
	set, counter := c.topicKeys(topic)
	n, err := client.Do(ctx, client.B().Get().Key(counter).Build()).AsInt64()
	if err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	switch {
	case s.last < 0 && s.old:
		s.last = 0
	case s.last < 0:
		s.last = n
	case n < s.last:
		s.last = 0 // Redis lost what it held
	}
	for s.last < n {
		pairs, err := client.Do(ctx, client.B().Zrangebyscore().Key(set).Min("("+strconv.FormatInt(s.last, 10)).Max(strconv.FormatInt(n, 10)).Withscores().Limit(0, maxRead).Build()).AsZScores()
		if err != nil {
			return err
		}
		c.topics.mu.Lock()
		hears := s.hears
		c.topics.mu.Unlock()
		for _, p := range pairs {
			s.last = int64(p.Score)
			for i := range len(p.Member) {
				if p.Member[i] == ' ' {
					hears(p.Member[i+1:])
					break
				}
			}
		}
		if len(pairs) < maxRead {
			s.last = n
		}
	}
	return nil
}
