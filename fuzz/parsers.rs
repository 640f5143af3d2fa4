//! The parser that `NAMECAM_PARSER` names, for libFuzzer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PARSE: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("NAMECAM_PARSER").unwrap_or_default();
    let known = namecam::fuzz::PARSERS.iter().find(|(name, _)| *name == wanted);
    let names = || namecam::fuzz::PARSERS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    known.unwrap_or_else(|| panic!("NAMECAM_PARSER must be one of {}", names())).1
});

fuzz_target!(|bytes: &[u8]| PARSE(bytes));
