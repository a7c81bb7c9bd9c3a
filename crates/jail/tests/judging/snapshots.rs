//! What a jail takes up of a folded charter: bytes that it made itself, in order, and no others.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use writ_evidence::charter::{Change, Workspace};
use writ_jail_link::{JailReply, JailRequest, SnapshotMark};

use crate::jail_tenant::{JailTenant, ask};

fn workspace(name: &str) -> Change {
    Change::WorkspaceSet(Workspace { name: name.parse().unwrap(), secret_paths: Vec::new() })
}

fn taken(tenant: &mut JailTenant) -> (SnapshotMark, Vec<u8>) {
    let Ok(JailReply::Snapshot(page)) =
        ask(&mut tenant.jail, JailRequest::TakeSnapshot { from: 0 })
    else {
        panic!("no snapshot")
    };
    (page.of, URL_SAFE_NO_PAD.decode(page.bytes).unwrap())
}

/// Brings a snapshot in pages of so many bytes; what the last one is answered with.
fn bring(
    tenant: &mut JailTenant,
    mark: SnapshotMark,
    bytes: &[u8],
    page: usize,
) -> Result<JailReply, String> {
    let mut answer = Err("nothing was brought".to_owned());
    for (number, page_bytes) in bytes.chunks(page).enumerate() {
        let (digest, from) = (mark.digest, (number * page) as u64);
        let bytes = URL_SAFE_NO_PAD.encode(page_bytes);
        answer = Ok(ask(&mut tenant.jail, JailRequest::ResumeCharter { digest, from, bytes })?);
    }
    answer
}

#[test]
fn a_jail_takes_up_its_own_snapshot_after_a_restart_and_folds_what_came_after() {
    let mut tenant = JailTenant::found();
    tenant.change(workspace("one"));
    let (mark, bytes) = taken(&mut tenant);
    tenant.change(workspace("two"));
    let tail = tenant.newest();
    tenant.restart_without_charter();

    let resumed = bring(&mut tenant, mark, &bytes, 100);

    assert!(matches!(resumed, Ok(JailReply::Charter { seq: 1, .. })));
    // Until it was shown what it has seen since, it decides nothing.
    let early = ask(&mut tenant.jail, JailRequest::StandingDue);
    assert_eq!(early.err().as_deref(), Some("charter-behind"));
    let folded = ask(&mut tenant.jail, JailRequest::Charter { entries: vec![tail] });
    assert!(matches!(folded, Ok(JailReply::Charter { seq: 2, .. })));
    tenant.change(workspace("three"));
}

#[test]
fn bytes_that_the_jail_did_not_make_are_refused_wherever_they_differ() {
    let mut tenant = JailTenant::found();
    let (mark, bytes) = taken(&mut tenant);
    tenant.restart_without_charter();
    for at in (0..bytes.len()).step_by(97) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let refused = bring(&mut tenant, mark, &changed, 1000);
        assert_eq!(refused.err().as_deref(), Some("charter-snapshot"), "byte {at}");
    }
    let mut longer = bytes.clone();
    longer.push(b' ');
    let other = SnapshotMark { digest: writ_model::Digest::from_bytes([7; 32]), ..mark };
    for (mark, bytes) in [(mark, &longer[..]), (other, &bytes[..])] {
        let refused = bring(&mut tenant, mark, bytes, 1000);
        assert_eq!(refused.err().as_deref(), Some("charter-snapshot"));
    }
    // Pages out of their order are none of the snapshot's.
    let (digest, page) = (mark.digest, URL_SAFE_NO_PAD.encode(&bytes[100..]));
    let late = JailRequest::ResumeCharter { digest, from: 100, bytes: page };
    assert_eq!(ask(&mut tenant.jail, late).err().as_deref(), Some("charter-snapshot"));

    assert!(matches!(bring(&mut tenant, mark, &bytes, 1000), Ok(JailReply::Charter { .. })));
}
