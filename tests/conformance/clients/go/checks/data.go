package checks

import (
	"bytes"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"time"
)

const base = int64(1_600_000_000_000)

type matrix struct {
	Client
	topics int
}

// Run runs all checks that the client does not lack, and ends the program.
func Run(client Client) {
	m := &matrix{Client: client}
	lacks := client.Lacks()
	check := func(name string, run func()) {
		if !slices.Contains(lacks, name) {
			Check(name, run)
		}
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		check("codec/"+codec, func() { m.codec(codec) })
	}
	check("headers", m.headers)
	check("null-keys-and-values", m.nulls)
	check("big-record", m.bigRecord)
	check("keys-stay-in-their-partition", m.keyed)
	for _, acks := range []string{"0", "1", "all"} {
		check("acks/"+acks, func() { m.acks(acks) })
	}
	check("idempotent", m.idempotent)
	check("offsets/for-times", m.offsetsForTimes)
	check("offsets/beginning-and-end", m.beginningAndEnd)
	check("offsets/seek-into-a-batch", m.seekIntoBatch)
	check("auto-create", m.autoCreate)
	check("errors/too-large", m.tooLarge)
	check("errors/topics", m.topicErrors)
	m.groupChecks(check)
	m.adminChecks(check)
	check("restart/kill-idempotent", func() { m.restart("kill", true) })
	check("restart/kill", func() { m.restart("kill", false) })
	check("restart/stop", func() { m.restart("stop", false) })
	check("restart/group-survives", m.groupSurvives)
	Done()
}

func (m *matrix) topic(partitions int, configs ...string) string {
	m.topics++
	name := fmt.Sprintf("topic-%d", m.topics)
	set := map[string]string{}
	for i := 0; i < len(configs); i += 2 {
		set[configs[i]] = configs[i+1]
	}
	Must(m.CreateTopic(name, partitions, set))
	// Kafka answers before its broker has heard of the topic.
	Await("the topic has leaders", func() bool {
		found, err := m.Describe(name)
		if err != nil || len(found) != partitions {
			return false
		}
		for _, partition := range found {
			if _, _, err := m.Range(name, partition.ID); err != nil {
				return false
			}
		}
		return true
	})
	return name
}

func (m *matrix) fill(topic string, options ProducerOptions, records ...Record) []Record {
	if options.Acks == "" {
		options.Acks = "all"
	}
	producer := m.Producer(options)
	var lock sync.Mutex
	var failed error
	sent := slices.Clone(records)
	left := len(records)
	for i, record := range records {
		producer.Send(topic, record, func(partition int32, offset int64, err error) {
			lock.Lock()
			defer lock.Unlock()
			left--
			if err != nil && failed == nil {
				failed = err
			}
			sent[i].Partition, sent[i].Offset = partition, offset
		})
	}
	producer.Close()
	lock.Lock()
	defer lock.Unlock()
	if failed != nil {
		panic(refusal{failed})
	}
	Same(0, left, "records without an outcome")
	return sent
}

// readAll reads every partition from its start to its end.
func (m *matrix) readAll(topic string) []Record {
	var all []Record
	for _, partition := range Get(m.Describe(topic)) {
		first, end, err := m.Range(topic, partition.ID)
		Must(err)
		if end > first {
			all = append(all, Get(m.Read(topic, partition.ID, first, int(end-first)))...)
		}
	}
	return all
}

func values(count int) []Record {
	var records []Record
	for i := range count {
		value := fmt.Sprintf("value-%d-%s", i, strings.Repeat("abcdefgh", i%20))
		records = append(records, Record{Partition: Any, Value: []byte(value)})
	}
	return records
}

func text(records []Record) []string {
	var found []string
	for _, record := range records {
		found = append(found, string(record.Value))
	}
	return found
}

func (m *matrix) codec(codec string) {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{Codec: codec}, values(300)...)
	Same(text(values(300)), text(m.readAll(topic)), "values")
}

func (m *matrix) headers() {
	topic := m.topic(1)
	headers := []Header{{"a", []byte("1")}, {"a", []byte("2")}, {"empty", []byte{}}}
	m.fill(topic, ProducerOptions{}, Record{Key: []byte("k"), Value: []byte("v"), Headers: headers})
	Same(headers, m.readAll(topic)[0].Headers, "headers")
}

func (m *matrix) nulls() {
	topic := m.topic(1)
	for _, record := range []Record{{}, {Key: []byte("k")}, {Value: []byte("v")}} {
		m.fill(topic, ProducerOptions{}, record)
	}
	found := m.readAll(topic)
	Same(3, len(found), "records")
	Require(found[0].Key == nil && found[0].Value == nil, "neither key nor value")
	Require(string(found[1].Key) == "k" && found[1].Value == nil, "key only")
	Require(found[2].Key == nil && string(found[2].Value) == "v", "value only")
}

func (m *matrix) bigRecord() {
	topic := m.topic(1)
	value := make([]byte, 900_000)
	rand.New(rand.NewSource(1)).Read(value)
	for range 3 {
		m.fill(topic, ProducerOptions{}, Record{Value: value})
	}
	for _, record := range m.readAll(topic) {
		Require(bytes.Equal(value, record.Value), "a big value changed")
	}
}

func (m *matrix) keyed() {
	topic := m.topic(6)
	var records []Record
	for i := range 60 {
		key, value := fmt.Sprintf("key-%d", i%20), fmt.Sprintf("%03d", i)
		records = append(records, Record{Partition: Any, Key: []byte(key), Value: []byte(value)})
	}
	m.fill(topic, ProducerOptions{}, records...)
	homes, last := map[string]int32{}, map[string]string{}
	partitions := map[int32]bool{}
	found := m.readAll(topic)
	Same(60, len(found), "records")
	for _, record := range found {
		key := string(record.Key)
		if home, known := homes[key]; known {
			Same(home, record.Partition, "partition of "+key)
		}
		Require(last[key] < string(record.Value), "order within %s", key)
		homes[key], last[key] = record.Partition, string(record.Value)
		partitions[record.Partition] = true
	}
	Require(len(partitions) > 1, "one partition only")
}

func (m *matrix) acks(acks string) {
	topic := m.topic(2)
	m.fill(topic, ProducerOptions{Acks: acks}, values(100)...)
	Await("100 records", func() bool { return len(m.readAll(topic)) == 100 })
}

func (m *matrix) idempotent() {
	topic := m.topic(3)
	m.fill(topic, ProducerOptions{Idempotent: true}, values(500)...)
	found := text(m.readAll(topic))
	slices.Sort(found)
	Same(500, len(slices.Compact(found)), "distinct records")
}

func (m *matrix) offsetsForTimes() {
	topic := m.topic(1)
	var records []Record
	for i := range 50 {
		records = append(records, Record{Value: []byte("v"), Time: base + int64(i)*10})
	}
	m.fill(topic, ProducerOptions{}, records...)
	Same(base+70, m.readAll(topic)[7].Time, "timestamp")
	for _, i := range []int64{0, 1, 37, 49} {
		Same(i, Get(m.OffsetForTime(topic, 0, base+i*10-5)), "offset for a time")
	}
	Same(-1, Get(m.OffsetForTime(topic, 0, base+10_000)), "after the end")
}

func (m *matrix) beginningAndEnd() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{}, values(20)...)
	first, end, err := m.Range(topic, 0)
	Must(err)
	Same([]int64{0, 20}, []int64{first, end}, "offsets")
	Same(0, Get(m.Read(topic, 0, 0, 20))[0].Offset, "first offset")
}

func (m *matrix) seekIntoBatch() {
	topic := m.topic(1)
	m.fill(topic, ProducerOptions{Codec: "gzip"}, values(50)...)
	Same(33, Get(m.Read(topic, 0, 33, 17))[0].Offset, "first offset")
}

func (m *matrix) autoCreate() {
	// Kafka says at first that there is no such topic, and kafka-go leaves it to its user to retry.
	Await("the topic is created", func() (created bool) {
		defer func() {
			cause := recover()
			if refused, ok := cause.(refusal); ok && m.Code(refused.err) == 3 {
				cause = nil
			}
			if cause != nil {
				panic(cause)
			}
		}()
		m.fill("made-by-its-first-use", ProducerOptions{}, values(10)...)
		return true
	})
	Same(10, len(m.readAll("made-by-its-first-use")), "records")
}

// restart: what was acknowledged is there: exactly once with idempotence, at least once without.
func (m *matrix) restart(how string, idempotent bool) {
	topic := m.topic(3)
	sent := m.sendThrough(topic, how, idempotent)
	// franz-go asks for metadata four times, and its idle connections to three brokers and to where it
	// began are all of before the restart.
	Await("the topic is described", func() bool {
		_, err := m.Describe(topic)
		return err == nil
	})
	found := map[string]int{}
	for _, record := range m.readAll(topic) {
		found[string(record.Value)]++
	}
	for _, value := range sent {
		Require(found[value] > 0, "acknowledged but not found: %s", value)
		Require(found[value] == 1 || !idempotent, "%s is there %d times", value, found[value])
	}
}

func (m *matrix) sendThrough(topic, how string, idempotent bool) []string {
	producer := m.Producer(ProducerOptions{Acks: "all", Idempotent: idempotent})
	var lock sync.Mutex
	var acknowledged []string
	var failed error
	stop, stopped := make(chan struct{}), make(chan struct{})
	room := make(chan struct{}, 500)
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case room <- struct{}{}:
			}
			value := fmt.Sprintf("v%d", i)
			record := Record{Partition: Any, Key: []byte(fmt.Sprint(i % 50)), Value: []byte(value)}
			producer.Send(topic, record, func(_ int32, _ int64, err error) {
				<-room
				lock.Lock()
				defer lock.Unlock()
				if err != nil {
					failed = err
				} else {
					acknowledged = append(acknowledged, value)
				}
			})
			if i%20 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	count := func() int {
		lock.Lock()
		defer lock.Unlock()
		Must(failed)
		return len(acknowledged)
	}
	Await("some before", func() bool { return count() > 500 })
	RestartBroker(how)
	soFar := count()
	Await("some after", func() bool { return count() > soFar+500 })
	close(stop)
	<-stopped
	// A record that is being sent again when its producer closes is a failure to sarama.
	Await("all have an outcome", func() bool { return len(room) == 0 })
	producer.Close()
	count()
	return acknowledged
}
