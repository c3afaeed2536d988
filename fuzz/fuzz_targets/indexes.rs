//! The first byte chooses a file that is no `.log`; the rest replaces what is in it.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/fuzz/targets.rs"]
#[expect(dead_code, reason = "each target uses a part of it")]
mod targets;

thread_local! {
    static SAMPLE: OnceCell<targets::Sample> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    SAMPLE.with(|sample| {
        let sample = sample.get_or_init(targets::Sample::new);
        let mut files = sample.files();
        files.retain(|path| path.extension().is_some_and(|kind| kind != "log"));
        sample.open_with(&files[usize::from(*choice) % files.len()], bytes, None);
    });
});
