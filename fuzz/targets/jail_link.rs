//! What runner, jail, cell, launchers and broker say: any frame is answered, and what is taken is said again
//! in the same words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};
use writ_jail_link::{
    BrokerReply, BrokerRequest, CellOutcome, CellStarted, CellTask, Envelope, JailReply,
    JailRequest, LauncherLink, LauncherReply, LauncherRequest, SandboxOrder, SandboxReport, decode,
    encode,
};

fn stable<T: Serialize + DeserializeOwned>(frame: &[u8]) {
    let Ok(message) = decode::<T>(frame) else { return };
    let Ok(said) = encode(&message) else { return };
    let again: T = decode(&said).unwrap_or_else(|_| panic!("what was said is not understood"));
    let Ok(twice) = encode(&again) else { panic!("what was understood can't be said") };
    assert_eq!(said, twice);
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, frame)) = data.split_first() else { return };
    match kind % 10 {
        0 => stable::<Envelope<JailRequest>>(frame),
        1 => stable::<Envelope<JailReply>>(frame),
        2 => stable::<CellTask>(frame),
        3 => stable::<CellOutcome>(frame),
        4 => stable::<BrokerRequest>(frame),
        5 => stable::<BrokerReply>(frame),
        6 => stable::<LauncherRequest>(frame),
        7 => stable::<LauncherReply>(frame),
        8 => stable::<SandboxOrder>(frame),
        _ => {
            stable::<SandboxReport>(frame);
            stable::<CellStarted>(frame);
            stable::<LauncherLink>(frame);
        }
    }
});
