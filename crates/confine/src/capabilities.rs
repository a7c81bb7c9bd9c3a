//! Gives up every capability, and every way to get one back.
//!
//! Order matters: the bounding set can only be emptied while `CAP_SETPCAP` is still held, and the
//! secure bits keep the namespace's root from being given capabilities by exec.

use rustix::{
    io::Errno,
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities,
        capability_is_in_bounding_set, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
    },
};

/// Empties the bounding, ambient, inheritable, permitted and effective sets.
pub(crate) fn drop_all() -> Result<(), String> {
    empty_bounding_set()?;
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(locked)
        .map_err(|errno| format!("cannot lock the secure bits: {errno}"))?;
    clear_ambient_capability_set()
        .map_err(|errno| format!("cannot clear the ambient set: {errno}"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(|errno| format!("cannot drop capabilities: {errno}"))?;
    if are_all_dropped() { Ok(()) } else { Err("some capability is still held".into()) }
}

/// Whether the calling thread holds no capability and can get none.
pub(crate) fn are_all_dropped() -> bool {
    let held = capabilities(None).is_ok_and(|sets| {
        (sets.effective | sets.permitted | sets.inheritable) == CapabilitySet::empty()
    });
    held && every_capability().all(|one| !matches!(capability_is_in_bounding_set(one), Ok(true)))
}

fn empty_bounding_set() -> Result<(), String> {
    for one in every_capability() {
        match remove_capability_from_bounding_set(one) {
            // The kernel knows fewer capabilities than there are bits.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(format!("cannot empty the bounding set: {errno}")),
        }
    }
    Ok(())
}

/// Each capability that the kernel could know, those without a name here included.
fn every_capability() -> impl Iterator<Item = CapabilitySet> {
    (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit))
}
