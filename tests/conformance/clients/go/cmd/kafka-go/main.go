// Command kafka-go runs the checks with github.com/segmentio/kafka-go.
package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	"klamm.example/conformance/checks"
)

var (
	ctx    = context.Background()
	broker = kafka.TCP(checks.Bootstrap)
)

func main() {
	checks.Run(&client{kafka.Client{Addr: broker, Timeout: 30 * time.Second}})
}

type client struct{ kafka.Client }

// Lacks: it has no idempotent producer, no static members, no cooperative balancer and no
// requests for these admin calls.
func (*client) Lacks() []string {
	return []string{
		"idempotent", "restart/kill-idempotent", "group/static-membership",
		"group/cooperative-sticky", "admin/delete-records", "admin/log-dirs",
	}
}

func (*client) Code(err error) int16 {
	var list kafka.WriteErrors
	if errors.As(err, &list) {
		for _, one := range list {
			if one != nil {
				err = one
			}
		}
	}
	var large kafka.MessageTooLargeError
	if errors.As(err, &large) {
		return 10
	}
	var code kafka.Error
	if errors.As(err, &code) {
		return int16(code)
	}
	return -1
}

type producer struct{ *kafka.Writer }

var codecs = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

// sent goes with a message through the writer.
type sent struct {
	partition int32
	done      func(int32, int64, error)
}

func (*client) Producer(o checks.ProducerOptions) checks.Producer {
	acks := map[string]kafka.RequiredAcks{"0": kafka.RequireNone, "1": kafka.RequireOne, "all": kafka.RequireAll}
	byKey := &kafka.Hash{}
	return producer{&kafka.Writer{
		Addr: broker, Compression: codecs[o.Codec], RequiredAcks: acks[o.Acks], Async: true,
		BatchTimeout: 5 * time.Millisecond, MaxAttempts: 1000, BatchBytes: 1 << 20,
		WriteBackoffMin: 20 * time.Millisecond, WriteBackoffMax: 200 * time.Millisecond,
		AllowAutoTopicCreation: true,
		Balancer: kafka.BalancerFunc(func(m kafka.Message, partitions ...int) int {
			if asked := m.WriterData.(sent).partition; asked >= 0 {
				return int(asked)
			}
			return byKey.Balance(m, partitions...)
		}),
		Completion: func(messages []kafka.Message, err error) {
			for _, m := range messages {
				m.WriterData.(sent).done(int32(m.Partition), m.Offset, err)
			}
		},
	}}
}

func (p producer) Send(topic string, r checks.Record, done func(int32, int64, error)) {
	m := kafka.Message{Topic: topic, Key: r.Key, Value: r.Value, WriterData: sent{r.Partition, done}}
	if r.Time != 0 {
		m.Time = time.UnixMilli(r.Time)
	}
	for _, header := range r.Headers {
		m.Headers = append(m.Headers, kafka.Header{Key: header.Key, Value: header.Value})
	}
	if err := p.WriteMessages(ctx, m); err != nil {
		done(0, 0, err)
	}
}

func (p producer) Close() { checks.Must(p.Writer.Close()) }

func from(m kafka.Message) checks.Record {
	found := checks.Record{Partition: int32(m.Partition), Offset: m.Offset, Key: m.Key, Value: m.Value,
		Time: m.Time.UnixMilli()}
	for _, header := range m.Headers {
		found.Headers = append(found.Headers, checks.Header{Key: header.Key, Value: header.Value})
	}
	return found
}

func reader(topic string, partition int, offset int64) *kafka.Reader {
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{checks.Bootstrap}, Topic: topic, Partition: partition,
		MaxWait: 100 * time.Millisecond, MaxBytes: 10 << 20, ReadBackoffMin: 10 * time.Millisecond,
		ReadBackoffMax: 200 * time.Millisecond,
	})
	checks.Must(r.SetOffset(offset))
	return r
}

func (*client) Read(topic string, partition int32, offset int64, count int) ([]checks.Record, error) {
	r := reader(topic, int(partition), offset)
	defer r.Close()
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var records []checks.Record
	for len(records) < count {
		m, err := r.ReadMessage(limit)
		if err != nil {
			return nil, err
		}
		records = append(records, from(m))
	}
	return records, nil
}

func (c *client) offsets(topic string, request kafka.OffsetRequest) (kafka.PartitionOffsets, error) {
	found, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {request}}})
	if err != nil {
		return kafka.PartitionOffsets{}, err
	}
	return found.Topics[topic][0], found.Topics[topic][0].Error
}

func (c *client) Range(topic string, partition int32) (int64, int64, error) {
	first, err := c.offsets(topic, kafka.FirstOffsetOf(int(partition)))
	if err != nil {
		return 0, 0, err
	}
	end, err := c.offsets(topic, kafka.LastOffsetOf(int(partition)))
	return first.FirstOffset, end.LastOffset, err
}

func (c *client) OffsetForTime(topic string, partition int32, ms int64) (int64, error) {
	found, err := c.offsets(topic, kafka.TimeOffsetOf(int(partition), time.UnixMilli(ms)))
	for offset := range found.Offsets {
		return offset, err
	}
	return -1, err
}

// member reads each partition of its generation with a reader of its own.
type member struct {
	group      *kafka.ConsumerGroup
	records    chan checks.Record
	cancel     context.CancelFunc
	ended      chan struct{}
	lock       sync.Mutex
	generation *kafka.Generation
	assigned   []int32
}

func (*client) Join(group, topic string, _ checks.MemberOptions) checks.Member {
	joined := checks.Get(kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: group, Brokers: []string{checks.Bootstrap}, Topics: []string{topic},
		SessionTimeout: 6 * time.Second, HeartbeatInterval: 300 * time.Millisecond,
		JoinGroupBackoff: 100 * time.Millisecond, StartOffset: kafka.FirstOffset,
		GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
	}))
	running, cancel := context.WithCancel(ctx)
	m := &member{group: joined, records: make(chan checks.Record, 10000), cancel: cancel,
		ended: make(chan struct{})}
	go func() {
		defer close(m.ended)
		for running.Err() == nil {
			generation, err := joined.Next(running)
			if err == nil {
				m.begin(topic, generation)
			}
		}
	}()
	return m
}

func (m *member) begin(topic string, generation *kafka.Generation) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.generation, m.assigned = generation, nil
	for _, a := range generation.Assignments[topic] {
		m.assigned = append(m.assigned, int32(a.ID))
		generation.Start(func(ctx context.Context) {
			r := reader(topic, a.ID, a.Offset)
			defer r.Close()
			for {
				message, err := r.ReadMessage(ctx)
				if err != nil {
					return
				}
				m.records <- from(message)
			}
		})
	}
	slices.Sort(m.assigned)
	generation.Start(func(ctx context.Context) {
		<-ctx.Done()
		m.lock.Lock()
		defer m.lock.Unlock()
		m.assigned = nil
	})
}

func (m *member) Poll(wait time.Duration) []checks.Record {
	limit := time.After(wait)
	var records []checks.Record
	for {
		select {
		case record := <-m.records:
			records = append(records, record)
		case <-limit:
			return records
		}
	}
}

func (m *member) Assigned() []int32 {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.assigned
}

func (m *member) Commit(topic string, partition int32, offset int64) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.generation.CommitOffsets(map[string]map[int]int64{topic: {int(partition): offset}})
}

func (m *member) Close() {
	m.cancel()
	<-m.ended
	checks.Must(m.group.Close())
}

func (c *client) Committed(group, topic string, partition int32) (int64, error) {
	found, err := c.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group,
		Topics: map[string][]int{topic: {int(partition)}}})
	if err != nil {
		return 0, err
	}
	if found.Error != nil {
		return 0, found.Error
	}
	at := found.Topics[topic][0]
	return at.CommittedOffset, at.Error
}

func (c *client) CreateTopic(name string, partitions int, configs map[string]string) error {
	topic := kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: checks.Replicas}
	for key, value := range configs {
		topic.ConfigEntries = append(topic.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	found, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err == nil {
		err = found.Errors[name]
	}
	return err
}

func (c *client) DeleteTopic(name string) error {
	found, err := c.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{name}})
	if err == nil {
		err = found.Errors[name]
	}
	return err
}

func (c *client) Topics() ([]string, error) {
	found, err := c.Metadata(ctx, &kafka.MetadataRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, topic := range found.Topics {
		names = append(names, topic.Name)
	}
	return names, nil
}

func (c *client) Describe(topic string) ([]checks.Partition, error) {
	found, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, err
	}
	var partitions []checks.Partition
	for _, p := range found.Topics[0].Partitions {
		described := checks.Partition{ID: int32(p.ID), Leader: int32(p.Leader.ID)}
		for _, replica := range p.Replicas {
			described.Replicas = append(described.Replicas, int32(replica.ID))
		}
		partitions = append(partitions, described)
	}
	slices.SortFunc(partitions, func(a, b checks.Partition) int { return int(a.ID - b.ID) })
	return partitions, found.Topics[0].Error
}

func (c *client) configs(kind kafka.ResourceType, name string) (map[string]string, error) {
	found, err := c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kind, ResourceName: name}}})
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, entry := range found.Resources[0].ConfigEntries {
		values[entry.ConfigName] = entry.ConfigValue
	}
	return values, found.Resources[0].Error
}

func (c *client) TopicConfigs(topic string) (map[string]string, error) {
	return c.configs(kafka.ResourceTypeTopic, topic)
}

func (c *client) BrokerConfigs(id int32) (map[string]string, error) {
	return c.configs(kafka.ResourceTypeBroker, strconv.Itoa(int(id)))
}

func (c *client) SetTopicConfig(topic, key, value string) error {
	change := kafka.IncrementalAlterConfigsRequestConfig{Name: key, Value: value,
		ConfigOperation: kafka.ConfigOperationSet}
	found, err := c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{change}}}})
	if err == nil {
		err = found.Resources[0].Error
	}
	return err
}

func (c *client) CreatePartitions(topic string, count int) error {
	found, err := c.Client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(count)}}})
	if err == nil {
		err = found.Errors[topic]
	}
	return err
}

func (*client) DeleteRecords(string, int32, int64) error { return errors.ErrUnsupported }

func (c *client) Groups() ([]string, error) {
	found, err := c.ListGroups(ctx, &kafka.ListGroupsRequest{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, group := range found.Groups {
		names = append(names, group.GroupID)
	}
	return names, found.Error
}

func (c *client) DescribeGroup(group string) (string, int, error) {
	found, err := c.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return "", 0, err
	}
	return found.Groups[0].GroupState, len(found.Groups[0].Members), found.Groups[0].Error
}

func (c *client) DeleteGroup(group string) error {
	found, err := c.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err == nil {
		err = found.Errors[group]
	}
	return err
}

func (c *client) Brokers() (map[int32]string, error) {
	found, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{}})
	if err != nil {
		return nil, err
	}
	brokers := map[int32]string{}
	for _, b := range found.Brokers {
		brokers[int32(b.ID)] = net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
	}
	return brokers, nil
}

func (*client) LogSize(string) (int64, error) { return 0, errors.ErrUnsupported }
