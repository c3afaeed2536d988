package checks

import "time"

// Record is what was read, or is to be written.
type Record struct {
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Headers   []Header
	// Time is in milliseconds; 0 leaves it to the client.
	Time int64
}

// Header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Any leaves the partition of a record to its key.
const Any int32 = -1

// ProducerOptions of one producer.
type ProducerOptions struct {
	Codec      string
	Acks       string
	Idempotent bool
}

// MemberOptions of one member of a group.
type MemberOptions struct {
	Instance    string
	Cooperative bool
}

// Producer writes records; done is called once per record.
type Producer interface {
	Send(topic string, record Record, done func(partition int32, offset int64, err error))
	// Close waits for what was sent.
	Close()
}

// Member of a consumer group.
type Member interface {
	// Poll returns what came within the time.
	Poll(wait time.Duration) []Record
	// Assigned lists the partitions of the topic.
	Assigned() []int32
	Commit(topic string, partition int32, offset int64) error
	Close()
}

// Partition as described.
type Partition struct {
	ID       int32
	Leader   int32
	Replicas []int32
}

// Client is the adapter of one client library.
type Client interface {
	// Lacks names the checks that the library has no means for.
	Lacks() []string
	// Code is the protocol's error code inside an error, or -1.
	Code(err error) int16

	Producer(options ProducerOptions) Producer
	// Read reads count records of one partition.
	Read(topic string, partition int32, from int64, count int) ([]Record, error)
	Range(topic string, partition int32) (first, end int64, err error)
	// OffsetForTime is -1 when there is none.
	OffsetForTime(topic string, partition int32, ms int64) (int64, error)
	Join(group, topic string, options MemberOptions) Member
	Committed(group, topic string, partition int32) (int64, error)

	CreateTopic(name string, partitions int, configs map[string]string) error
	DeleteTopic(name string) error
	Topics() ([]string, error)
	Describe(topic string) ([]Partition, error)
	TopicConfigs(topic string) (map[string]string, error)
	BrokerConfigs(broker int32) (map[string]string, error)
	SetTopicConfig(topic, key, value string) error
	CreatePartitions(topic string, count int) error
	DeleteRecords(topic string, partition int32, offset int64) error
	Groups() ([]string, error)
	DescribeGroup(group string) (state string, members int, err error)
	DeleteGroup(group string) error
	Brokers() (map[int32]string, error)
	LogSize(topic string) (int64, error)
}
