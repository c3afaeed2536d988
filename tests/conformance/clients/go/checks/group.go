package checks

import (
	"fmt"
	"slices"
	"time"
)

const turn = 100 * time.Millisecond

type refusal struct{ err error }

// refused demands one error code of the protocol.
func (m *matrix) refused(code int16, action func() error) {
	err := func() (err error) {
		defer func() {
			if cause, ok := recover().(refusal); ok {
				err = cause.err
			}
		}()
		return action()
	}()
	Require(err != nil, "it worked but should be error code %d", code)
	Require(m.Code(err) == code, "expected error code %d but found %v", code, err)
}

func (m *matrix) tooLarge() {
	topic := m.topic(1, "max.message.bytes", "2000")
	m.refused(10, func() error {
		m.fill(topic, ProducerOptions{}, Record{Value: make([]byte, 5000)})
		return nil
	})
	m.fill(topic, ProducerOptions{}, Record{Value: make([]byte, 500)})
	Same(1, len(m.readAll(topic)), "records")
}

func (m *matrix) topicErrors() {
	m.refused(17, func() error { return m.CreateTopic("not a name!", 1, nil) })
	m.refused(36, func() error { return m.CreateTopic(m.topic(1), 1, nil) })
	m.refused(37, func() error { return m.CreateTopic("none", 0, nil) })
	m.refused(40, func() error {
		return m.CreateTopic("config", 1, map[string]string{"no.such.key": "1"})
	})
	m.refused(3, func() error { return m.DeleteTopic("absent") })
	Require(!slices.Contains(Get(m.Topics()), "absent"), "deleting created a topic")
}

func (m *matrix) groupChecks(check func(string, func())) {
	check("group/two-members", func() { m.twoMembers("two-members", MemberOptions{}) })
	check("group/cooperative-sticky", func() {
		m.twoMembers("cooperative", MemberOptions{Cooperative: true})
	})
	check("group/commit-and-resume", m.commitAndResume)
	check("group/static-membership", m.staticMembership)
}

func (m *matrix) twoMembers(group string, options MemberOptions) {
	topic := m.topic(4)
	first := m.Join(group, topic, options)
	defer first.Close()
	seen := []int{0, 0}
	Await("the first has all", func() bool { return sizes(seen, first) == "[4]" })
	second := m.Join(group, topic, options)
	Await("both have two", func() bool { return sizes(seen, first, second) == "[2 2]" })
	var records []Record
	for i := range 40 {
		records = append(records, Record{Partition: int32(i % 4), Value: []byte("v")})
	}
	m.fill(topic, ProducerOptions{}, records...)
	Await("each reads its half", func() bool {
		return sizes(seen, first, second) == "[2 2]" && fmt.Sprint(seen) == "[20 20]"
	})
	second.Close()
	Await("the first has all again", func() bool { return sizes(seen, first) == "[4]" })
}

func (m *matrix) commitAndResume() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{}, values(30)...)
	member := m.Join("resume", topic, MemberOptions{})
	read(member, 30)
	Must(member.Commit(topic, 0, 10))
	Same(10, Get(m.Committed("resume", topic, 0)), "committed offset")
	member.Close()
	member = m.Join("resume", topic, MemberOptions{})
	defer member.Close()
	Same(10, read(member, 20)[0].Offset, "first offset after resuming")
}

func (m *matrix) staticMembership() {
	topic := m.topic(4)
	seen := []int{0, 0}
	first := m.Join("static", topic, MemberOptions{Instance: "one"})
	defer first.Close()
	second := m.Join("static", topic, MemberOptions{Instance: "two"})
	Await("both have two", func() bool { return sizes(seen, first, second) == "[2 2]" })
	owned := second.Assigned()
	second.Close()
	back := m.Join("static", topic, MemberOptions{Instance: "two"})
	defer back.Close()
	Await("it is back", func() bool { return sizes(seen, first, back) == "[2 2]" })
	Same(owned, back.Assigned(), "assignment of the second")
}

// groupSurvives: committed offsets are exact after kill -9 and the member reads on.
func (m *matrix) groupSurvives() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{}, values(20)...)
	member := m.Join("survivor", topic, MemberOptions{})
	defer member.Close()
	read(member, 20)
	Must(member.Commit(topic, 0, 5))
	RestartBroker("kill")
	var committed int64
	Await("the coordinator answers", func() (ok bool) {
		found, err := m.Committed("survivor", topic, 0)
		committed = found
		return err == nil
	})
	Same(5, committed, "committed offset after the restart")
	m.fill(topic, ProducerOptions{}, Record{Value: []byte("more")})
	Await("it reads on", func() bool {
		return slices.ContainsFunc(member.Poll(turn), func(r Record) bool { return r.Offset == 20 })
	})
}

func read(member Member, count int) []Record {
	var records []Record
	Await(fmt.Sprintf("%d records", count), func() bool {
		records = append(records, member.Poll(turn)...)
		return len(records) >= count
	})
	Same(count, len(records), "records")
	return records
}

// sizes tells how many partitions each has after a poll; seen counts what they read.
func sizes(seen []int, members ...Member) string {
	var counts []int
	for i, member := range members {
		seen[i] += len(member.Poll(turn))
	}
	for _, member := range members {
		counts = append(counts, len(member.Assigned()))
	}
	return fmt.Sprint(counts)
}
