//! Batches as real clients write them, all of the same three records: kafka-clients 4.4.0 (with
//! lz4-java, snappy-java and zstd-jni), and kafka-python 3.0.12 and aiokafka 0.14.0 where their
//! bytes differ from those.

use bytes::Bytes;

use super::{Compression, Record, RecordBatch};
use crate::{Offset, ProducerEpoch, ProducerId, Timestamp};

const WRITTEN_BY_CLIENTS: [(Compression, &str); 9] = [
    (
        Compression::None,
        concat!(
            "0000000000000000000000870000000002659cba1100000000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000354000000086b6579303276616c75652076616c",
            "75652076616c75652076616c756520300402680278026e013e000202013276616c75652076616c75",
            "652076616c75652076616c756520310014000404086b6579320100",
        ),
    ),
    (
        Compression::Gzip,
        concat!(
            "00000000000000000000007200000000025ca1325400010000000200000000000003e80000000000",
            "0003ea0000000000000009000100000029000000031f8b08000000000000ff0b616060e0c84ead34",
            "302a4bcc294d55c0240d589832982a98f218ed18989818712a336410616061011965c4c800002214",
            "e16d56000000",
        ),
    ),
    (
        Compression::Snappy,
        concat!(
            "00000000000000000000007a0000000002884afcb900020000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000382534e41505059000000000100000001000000",
            "35563c54000000086b6579303276616c75652046060034300402680278026e013e00020201622700",
            "30310014000404086b6579320100",
        ),
    ),
    (
        Compression::Lz4,
        concat!(
            "000000000000000000000074000000000298aaa8b600030000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000304224d1860408234000000fe0154000000086b",
            "6579303276616c7565200600ef300402680278026e013e00020201270006d0310014000404086b65",
            "7932010000000000",
        ),
    ),
    (
        Compression::Zstd,
        concat!(
            "0000000000000000000000720000000002e530671c00040000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000328b52ffd0058ac0100b40254000000086b6579",
            "303276616c756520300402680278026e013e00020201310014000404086b657932010002004a2d4a",
            "bcb204010000",
        ),
    ),
    (
        // kafka-python
        Compression::Gzip,
        concat!(
            "0000000000000000000000720000000002549c8b9200010000000200000000000003e80000000000",
            "0003ea0000000000000009000100000029000000031f8b08000af2036b02ff0b616060e0c84ead34",
            "302a4bcc294d55c0240d589832982a98f218ed18989818712a336410616061011965c4c800002214",
            "e16d56000000",
        ),
    ),
    (
        // kafka-python
        Compression::Lz4,
        concat!(
            "00000000000000000000007c0000000002fdad1d4b00030000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000304224d18684056000000000000007134000000",
            "fe0154000000086b6579303276616c7565200600ef300402680278026e013e00020201270006d031",
            "0014000404086b657932010000000000",
        ),
    ),
    (
        // kafka-python
        Compression::Zstd,
        concat!(
            "00000000000000000000006f000000000269c8fd4300040000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000328b52ffd2056ad0100b40254000000086b6579",
            "303276616c756520300402680278026e013e00020201310014000404086b657932010002004a2d4a",
            "bcb204",
        ),
    ),
    (
        // aiokafka
        Compression::Lz4,
        concat!(
            "000000000000000000000078ffffffff02ea1bb20800030000000200000000000003e80000000000",
            "0003ea00000000000000090001000000290000000304224d187040ad34000000fe0154000000086b",
            "6579303276616c7565200600ef300402680278026e013e00020201270006d0310014000404086b65",
            "79320100ef480dea00000000",
        ),
    ),
];

fn from_hex(text: &str) -> Bytes {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn batches_of_real_clients_read_alike_with_every_codec() {
    for (codec, hex) in WRITTEN_BY_CLIENTS {
        let mut bytes = from_hex(hex);
        let batch = RecordBatch::parse(&mut bytes).unwrap();
        assert!(bytes.is_empty());
        assert_eq!(batch.header().compression(), Some(codec));
        assert_eq!(batch.header().producer_id(), ProducerId(9));
        assert_eq!(batch.header().producer_epoch(), ProducerEpoch(1));
        assert_eq!(batch.header().last_sequence(), 43);
        assert_eq!(batch.header().max_timestamp(), Timestamp(1_002));
        let records: Vec<Record> = batch.records(10_000).unwrap().map(Result::unwrap).collect();
        assert_eq!(records.len(), 3);
        for (record, index) in records.iter().zip(0..) {
            assert_eq!(record.offset, Offset::new(index));
            assert_eq!(record.timestamp, Timestamp(1_000 + index));
        }
        assert_eq!(records[0].key.as_deref(), Some(&b"key0"[..]));
        assert_eq!(records[0].headers[0].value.as_deref(), Some(&b"x"[..]));
        assert_eq!(records[0].headers[1].value, None);
        assert_eq!(records[1].key, None);
        assert_eq!(
            records[1].value.as_deref(),
            Some(&b"value value value value 1"[..])
        );
        assert_eq!(records[2].value, None);
    }
}
