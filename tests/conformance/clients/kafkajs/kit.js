// Clients with the settings that all checks share, and the codecs that kafkajs takes as plug-ins.
'use strict'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')
const lz4 = require('lz4js')
const xxhash = require('lz4js/xxh32')
const { ZstdCodec } = require('zstd-codec')
const { same, until } = require('./report')

// The addresses of all brokers; every topic has a replica on each.
const BROKERS = process.env.KLAMM_BROKERS.split(',').sort()

const kafka = new Kafka({
  clientId: 'kafkajs-checks',
  brokers: [process.env.KLAMM_BOOTSTRAP],
  logLevel: logLevel.NOTHING,
  retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 200 },
})
const admin = kafka.admin()
let names = 0

async function installCodecs() {
  const zstd = await new Promise((resolve) => ZstdCodec.run((found) => resolve(new found.Simple())))
  CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec
  CompressionCodecs[CompressionTypes.LZ4] = () => ({
    compress: async (encoder) => independent(Buffer.from(lz4.compress(encoder.buffer))),
    decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
  })
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
    decompress: async (buffer) => Buffer.from(zstd.decompress(buffer)),
  })
}

// Kafka takes only frames whose blocks do not depend on each other. The library says that they
// might, although these frames have a single block: set the flag, and the checksum of the header.
function independent(frame) {
  frame[4] |= 0x20
  frame[6] = (xxhash.hash(0, frame, 4, 2) >> 8) & 0xff
  return frame
}

async function create(topic, partitions, configs = {}) {
  const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
  return admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: partitions, replicationFactor: BROKERS.length, configEntries }],
  })
}

// A new topic with a name of its own.
async function topic(partitions, configs) {
  const name = `topic-${++names}`
  await create(name, partitions, configs)
  return name
}

async function fill(topic, messages, { acks = -1, codec = 0, ...options } = {}) {
  const producer = kafka.producer(options)
  await producer.connect()
  try {
    return await producer.send({ topic, acks, compression: codec, messages })
  } finally {
    await producer.disconnect()
  }
}

// A member that collects what it reads; `assigned` are its partitions.
async function join(groupId, topic, { from } = {}) {
  const consumer = kafka.consumer({
    groupId, sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 100,
    rebalanceTimeout: 10_000,
  })
  const member = { consumer, records: [], assigned: [] }
  const seen = new Set()
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    member.assigned = (payload.memberAssignment[topic] || []).sort()
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      // Without a commit it reads again after each rebalance.
      const place = `${partition}:${message.offset}`
      if (!seen.has(place)) member.records.push({ partition, ...message })
      seen.add(place)
    },
  })
  if (from !== undefined) consumer.seek({ topic, partition: 0, offset: String(from) })
  return member
}

async function read(member, count) {
  await until(`${count} records`, () => member.records.length >= count)
  same(count, member.records.length, 'records')
  return member.records
}

// Reads a whole topic as a group of its own.
async function readAll(topic, count, options) {
  const member = await join(`reader-${++names}`, topic, options)
  try {
    return await read(member, count)
  } finally {
    await member.consumer.disconnect()
  }
}

const values = (count) =>
  Array.from({ length: count }, (_, i) => ({ value: `value-${i}-${'abcdefgh'.repeat(i % 20)}` }))

const text = (records) => records.map((record) => record.value.toString())

module.exports = { BROKERS, admin, create, fill, installCodecs, join, kafka, read, readAll, text, topic, values }
