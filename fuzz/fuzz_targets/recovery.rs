//! The first byte chooses a `.log` and how the broker ended; the rest replaces the file's end from
//! a place that the second byte chooses.
#![no_main]

use std::cell::OnceCell;

use klamm_storage::Crash;
use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/targets.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod targets;

thread_local! {
    static SAMPLE: OnceCell<targets::Sample> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let [choice, kept, bytes @ ..] = bytes else {
        return;
    };
    SAMPLE.with(|sample| {
        let sample = sample.get_or_init(targets::Sample::new);
        let mut files = sample.files();
        files.retain(|path| path.extension().is_some_and(|kind| kind == "log"));
        let path = &files[usize::from(choice / 3) % files.len()];
        let mut content = sample.bytes_of(path);
        content.truncate(content.len() * usize::from(*kept) / 256);
        content.extend_from_slice(bytes);
        let crash = [None, Some(Crash::Kill), Some(Crash::PowerLoss)][usize::from(choice % 3)];
        sample.open_with(path, &content, crash);
    });
});
