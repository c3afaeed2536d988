// Command sarama runs the checks with github.com/IBM/sarama.
package main

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"klamm.example/conformance/checks"
)

func main() {
	base := checks.Get(sarama.NewClient([]string{checks.Bootstrap}, config()))
	admin := checks.Get(sarama.NewClusterAdminFromClient(base))
	checks.Run(&client{base: base, admin: admin})
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.MaxVersion
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 100, 100*time.Millisecond
	c.Metadata.AllowAutoTopicCreation = true
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = 1000, 50*time.Millisecond
	c.Consumer.Return.Errors = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	c.Consumer.Retry.Backoff = 100 * time.Millisecond
	return c
}

type client struct {
	base  sarama.Client
	admin sarama.ClusterAdmin
}

// Lacks: its cooperative balancer does not exist.
func (*client) Lacks() []string { return []string{"group/cooperative-sticky"} }

func (*client) Code(err error) int16 {
	var topic *sarama.TopicError
	if errors.As(err, &topic) {
		return int16(topic.Err)
	}
	var partition *sarama.TopicPartitionError
	if errors.As(err, &partition) {
		return int16(partition.Err)
	}
	var code sarama.KError
	if errors.As(err, &code) {
		return int16(code)
	}
	return -1
}

type outcome = func(int32, int64, error)

type producer struct {
	sarama.AsyncProducer
	done sync.WaitGroup
}

var codecs = map[string]sarama.CompressionCodec{
	"gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func (*client) Producer(o checks.ProducerOptions) checks.Producer {
	c := config()
	c.Producer.Compression = codecs[o.Codec]
	c.Producer.RequiredAcks = map[string]sarama.RequiredAcks{
		"0": sarama.NoResponse, "1": sarama.WaitForLocal, "all": sarama.WaitForAll}[o.Acks]
	c.Producer.Flush.Frequency = 5 * time.Millisecond
	c.Producer.Partitioner = func(topic string) sarama.Partitioner {
		return partitioner{sarama.NewHashPartitioner(topic)}
	}
	if o.Idempotent {
		c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	}
	p := &producer{AsyncProducer: checks.Get(sarama.NewAsyncProducer([]string{checks.Bootstrap}, c))}
	p.done.Add(2)
	go func() {
		defer p.done.Done()
		for m := range p.Successes() {
			m.Metadata.(sent).done(m.Partition, m.Offset, nil)
		}
	}()
	go func() {
		defer p.done.Done()
		for failed := range p.Errors() {
			failed.Msg.Metadata.(sent).done(0, 0, failed.Err)
		}
	}()
	return p
}

// sent goes with a message through the producer.
type sent struct {
	partition int32
	done      outcome
}

// partitioner takes the partition that was asked for, or else asks the key.
type partitioner struct{ sarama.Partitioner }

func (p partitioner) Partition(m *sarama.ProducerMessage, n int32) (int32, error) {
	if asked := m.Metadata.(sent).partition; asked >= 0 {
		return asked, nil
	}
	return p.Partitioner.Partition(m, n)
}

func (p *producer) Send(topic string, r checks.Record, done func(int32, int64, error)) {
	m := &sarama.ProducerMessage{Topic: topic, Metadata: sent{r.Partition, done}}
	if r.Key != nil {
		m.Key = sarama.ByteEncoder(r.Key)
	}
	if r.Value != nil {
		m.Value = sarama.ByteEncoder(r.Value)
	}
	if r.Time != 0 {
		m.Timestamp = time.UnixMilli(r.Time)
	}
	for _, header := range r.Headers {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(header.Key), Value: header.Value})
	}
	p.Input() <- m
}

func (p *producer) Close() {
	p.AsyncClose()
	p.done.Wait()
}

func from(m *sarama.ConsumerMessage) checks.Record {
	found := checks.Record{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value,
		Time: m.Timestamp.UnixMilli()}
	for _, header := range m.Headers {
		found.Headers = append(found.Headers, checks.Header{Key: string(header.Key), Value: header.Value})
	}
	return found
}

func (*client) Read(topic string, partition int32, offset int64, count int) ([]checks.Record, error) {
	consumer, err := sarama.NewConsumer([]string{checks.Bootstrap}, config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	reader, err := consumer.ConsumePartition(topic, partition, offset)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	records := collect(reader.Messages(), 30*time.Second, count)
	checks.Same(count, len(records), "records read")
	return records, nil
}

// collect reads up to count messages.
func collect[T any](messages <-chan T, wait time.Duration, count int) []checks.Record {
	limit := time.After(wait)
	var records []checks.Record
	for len(records) < count {
		select {
		case message, open := <-messages:
			if !open {
				return records
			}
			switch m := any(message).(type) {
			case *sarama.ConsumerMessage:
				records = append(records, from(m))
			case checks.Record:
				records = append(records, m)
			}
		case <-limit:
			return records
		}
	}
	return records
}

func (c *client) Range(topic string, partition int32) (int64, int64, error) {
	first, err := c.base.GetOffset(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return 0, 0, err
	}
	end, err := c.base.GetOffset(topic, partition, sarama.OffsetNewest)
	return first, end, err
}

func (c *client) OffsetForTime(topic string, partition int32, ms int64) (int64, error) {
	return c.base.GetOffset(topic, partition, ms)
}

type member struct {
	client   *client
	name     string
	group    sarama.ConsumerGroup
	cancel   context.CancelFunc
	ended    chan struct{}
	records  chan checks.Record
	lock     sync.Mutex
	session  sarama.ConsumerGroupSession
	assigned []int32
	topic    string
}

func (c *client) Join(group, topic string, o checks.MemberOptions) checks.Member {
	settings := config()
	settings.Consumer.Group.InstanceId = o.Instance
	settings.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	running, cancel := context.WithCancel(context.Background())
	m := &member{
		client: c, name: group,
		group:  checks.Get(sarama.NewConsumerGroup([]string{checks.Bootstrap}, group, settings)),
		cancel: cancel, ended: make(chan struct{}), records: make(chan checks.Record, 10000), topic: topic,
	}
	go func() {
		defer close(m.ended)
		for running.Err() == nil {
			// An error ends the session; the next one joins again.
			if m.group.Consume(running, []string{topic}, m) != nil {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	return m
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session, m.assigned = session, slices.Sorted(slices.Values(session.Claims()[m.topic]))
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session, m.assigned = nil, nil
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			m.records <- from(message)
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *member) Poll(wait time.Duration) []checks.Record { return collect(m.records, wait, 10000) }

func (m *member) Assigned() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.assigned
}

// Commit repeats until the group has the offset: sarama asks once, and keeps to itself that the coordinator
// has just moved.
func (m *member) Commit(topic string, partition int32, offset int64) error {
	checks.Await("the offset is committed", func() bool {
		if !m.flush(topic, partition, offset) {
			return false
		}
		found, err := m.client.Committed(m.name, topic, partition)
		return err == nil && found == offset
	})
	return nil
}

func (m *member) flush(topic string, partition int32, offset int64) bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	if m.session == nil {
		return false
	}
	m.session.MarkOffset(topic, partition, offset, "")
	m.session.Commit()
	return true
}

func (m *member) Close() {
	m.cancel()
	<-m.ended
	checks.Must(m.group.Close())
}

func (c *client) Committed(group, topic string, partition int32) (int64, error) {
	found, err := c.admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {partition}})
	if err != nil {
		return 0, err
	}
	if found.Err != sarama.ErrNoError {
		return 0, found.Err
	}
	block := found.GetBlock(topic, partition)
	if block.Err != sarama.ErrNoError {
		return 0, block.Err
	}
	return block.Offset, nil
}

func (c *client) CreateTopic(name string, partitions int, configs map[string]string) error {
	set := map[string]*string{}
	for key, value := range configs {
		set[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: int16(checks.Replicas), ConfigEntries: set}
	return c.admin.CreateTopic(name, detail, false)
}

func (c *client) DeleteTopic(name string) error { return c.admin.DeleteTopic(name) }

func (c *client) Topics() ([]string, error) {
	found, err := c.admin.ListTopics()
	var names []string
	for name := range found {
		names = append(names, name)
	}
	return names, err
}

func (c *client) Describe(topic string) ([]checks.Partition, error) {
	found, err := c.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, err
	}
	if found[0].Err != sarama.ErrNoError {
		return nil, found[0].Err
	}
	var partitions []checks.Partition
	for _, p := range found[0].Partitions {
		partitions = append(partitions, checks.Partition{ID: p.ID, Leader: p.Leader, Replicas: p.Replicas})
	}
	slices.SortFunc(partitions, func(a, b checks.Partition) int { return int(a.ID - b.ID) })
	return partitions, nil
}

func (c *client) configs(kind sarama.ConfigResourceType, name string) (map[string]string, error) {
	found, err := c.admin.DescribeConfig(sarama.ConfigResource{Type: kind, Name: name})
	values := map[string]string{}
	for _, entry := range found {
		values[entry.Name] = entry.Value
	}
	return values, err
}

func (c *client) TopicConfigs(topic string) (map[string]string, error) {
	return c.configs(sarama.TopicResource, topic)
}

func (c *client) BrokerConfigs(int32) (map[string]string, error) {
	brokers, _, err := c.admin.DescribeCluster()
	if err != nil {
		return nil, err
	}
	return c.configs(sarama.BrokerResource, strconv.Itoa(int(brokers[0].ID())))
}

func (c *client) SetTopicConfig(topic, key, value string) error {
	entry := sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
	changes := map[string]sarama.IncrementalAlterConfigsEntry{key: entry}
	return c.admin.IncrementalAlterConfig(sarama.TopicResource, topic, changes, false)
}

func (c *client) CreatePartitions(topic string, count int) error {
	return c.admin.CreatePartitions(topic, int32(count), nil, false)
}

func (c *client) DeleteRecords(topic string, partition int32, offset int64) error {
	return c.admin.DeleteRecords(topic, map[int32]int64{partition: offset})
}

func (c *client) Groups() ([]string, error) {
	found, err := c.admin.ListConsumerGroups()
	var names []string
	for name := range found {
		names = append(names, name)
	}
	return names, err
}

func (c *client) DescribeGroup(group string) (string, int, error) {
	found, err := c.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", 0, err
	}
	return found[0].State, len(found[0].Members), nil
}

func (c *client) DeleteGroup(group string) error { return c.admin.DeleteConsumerGroup(group) }

func (c *client) Brokers() (map[int32]string, error) {
	found, _, err := c.admin.DescribeCluster()
	brokers := map[int32]string{}
	for _, broker := range found {
		brokers[broker.ID()] = broker.Addr()
	}
	return brokers, err
}

func (c *client) LogSize(topic string) (int64, error) {
	brokers, _, err := c.admin.DescribeCluster()
	if err != nil {
		return 0, err
	}
	found, err := c.admin.DescribeLogDirs([]int32{brokers[0].ID()})
	var size int64
	for _, dir := range found[brokers[0].ID()] {
		for _, t := range dir.Topics {
			for _, p := range t.Partitions {
				if t.Topic == topic {
					size += p.Size
				}
			}
		}
	}
	return size, err
}
