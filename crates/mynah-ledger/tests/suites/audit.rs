//! The audit log: what is in it, what it proves, and which tampering it shows.

use crate::common::{Store, ledger, open, options, place, point, run};
use mynah_ledger::{AuditHead, ErrorKind, Ledger, Param, Tag};
use mynah_trust::keys::Ed25519SigningKey;
use mynah_trust::{LogProof, merkle};

/// A ledger with some history, closed.
fn filled() -> Option<(AuditHead, Store)> {
    let (ledger, dir) = ledger()?;
    let record = run(&ledger, "r");
    for step in 0..40 {
        point(&ledger, &record, "m", 1.0, step);
    }
    ledger.log_param(&record.run.id, Param::new("lr", "0.1")).unwrap();
    ledger.delete_run(&record.run.id).unwrap();
    ledger.restore_run(&record.run.id).unwrap();
    Some((ledger.audit_head().unwrap(), dir))
}

#[test]
fn every_change_is_an_event_and_a_failed_one_is_none() {
    let Some((ledger, _dir)) = ledger() else { return };
    let record = run(&ledger, "r");
    let id = &record.run.id;
    ledger.with_actor("alice").set_tag(id, Tag::new("a", "b")).unwrap();
    let before = ledger.audit_head().unwrap();
    assert!(ledger.delete_tag(id, "absent").is_err());
    assert!(ledger.log_param("nobody", Param::new("a", "b")).is_err());
    assert_eq!(ledger.audit_head().unwrap(), before);
    let events = ledger.audit_events(0, 100).unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["run.create", "run.log"]);
    assert!(events[1].body.contains("\"by\":\"alice\"") && events[0].body.contains("\"by\":\"tester\""));
    assert_eq!(ledger.audit_events_of(&format!("run:{id}")).unwrap(), events);
    assert_eq!(ledger.audit_events(1, 1).unwrap(), events[1..2]);
}

#[test]
fn proofs_hold_for_every_event_and_every_earlier_size() {
    let Some((head, dir)) = filled() else { return };
    let ledger = open(&dir);
    for seq in 0..head.size {
        let proof = ledger.audit_proof(seq).unwrap();
        assert_eq!(proof.head, head);
        assert_eq!(merkle::leaf_hash(proof.event.body.as_bytes()), proof.event.leaf);
        merkle::verify_inclusion(&proof.event.leaf, seq, head.size, &proof.path, &head.root).unwrap();
    }
    let leaves: Vec<_> = ledger.audit_events(0, 1_000).unwrap().iter().map(|event| event.leaf).collect();
    for size in 0..=head.size {
        let (now, path) = ledger.audit_consistency(size).unwrap();
        let old_root = merkle::root(&leaves[..size as usize]);
        merkle::verify_consistency(size, &old_root, now.size, &now.root, &path).unwrap();
    }
    assert_eq!(ledger.audit_proof(head.size).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(ledger.audit_consistency(head.size + 1).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_checkpoint_is_signed_and_belongs_to_one_ledger() {
    let Some((head, dir)) = filled() else { return };
    let ledger = open(&dir);
    let key = Ed25519SigningKey::from_bytes(&[7; 32]);
    let checkpoint = ledger.audit_checkpoint(&key).unwrap();
    assert_eq!(ledger.audit_held(&checkpoint, &key.verifying_key()).unwrap(), head);
    let other_key = Ed25519SigningKey::from_bytes(&[8; 32]).verifying_key();
    assert_eq!(ledger.audit_held(&checkpoint, &other_key).unwrap_err().kind(), ErrorKind::Invalid);
    let Some((_, other_dir)) = filled() else { return };
    assert!(open(&other_dir).audit_held(&checkpoint, &key.verifying_key()).is_err());
    let page = ledger.audit_proof_text(3, &key).unwrap();
    let proof = LogProof::from_text(&page).unwrap();
    assert_eq!(proof.index, 3);
    assert_eq!(proof.extra.as_deref(), Some(ledger.audit_events(3, 1).unwrap()[0].body.as_bytes()));
}

#[test]
fn tampering_is_found() {
    let last = "(SELECT max(seq) FROM audit_events)";
    for (what, sql) in [
        (
            "edit",
            "UPDATE audit_events SET body = replace(body, 'run.create', 'run.xreate') WHERE seq = 0"
                .to_string(),
        ),
        ("column", "UPDATE audit_events SET kind = 'nothing' WHERE seq = 2".to_string()),
        ("deletion", "DELETE FROM audit_events WHERE seq = 5".to_string()),
        ("truncation", format!("DELETE FROM audit_events WHERE seq = {last}")),
        (
            "reordering",
            "UPDATE audit_events SET seq = -1 WHERE seq = 3; UPDATE audit_events SET seq = 3 WHERE seq = 4;
             UPDATE audit_events SET seq = 4 WHERE seq = -1"
                .to_string(),
        ),
        ("leaf", "UPDATE audit_events SET leaf = ZEROS_32 WHERE seq = 1".to_string()),
        ("node", "UPDATE audit_nodes SET hash = ZEROS_32 WHERE position = 0".to_string()),
        ("tree", "UPDATE audit_tree SET size = size - 1, nodes = ZEROS_128".to_string()),
    ] {
        let Some((head, dir)) = filled() else { return };
        assert_eq!(
            open(&dir).audit_verify(Some(head)).unwrap().findings,
            Vec::<String>::new(),
            "{what}: before"
        );
        dir.tamper(&sql.replace("ZEROS_32", &dir.blob(&[0; 32])).replace("ZEROS_128", &dir.blob(&[0; 128])));
        let found = Ledger::open(&place(&dir), options()).and_then(|ledger| ledger.audit_verify(None));
        // A tree that contradicts itself cannot even be loaded.
        assert!(found.map_or(true, |report| !report.findings.is_empty()), "{what} passed");
    }
}

/// Who can write the file can also compute the tree again; only the head held elsewhere shows it.
#[test]
fn a_log_computed_again_is_found_by_the_checkpoint() {
    let Some((head, dir)) = filled() else { return };
    let ledger = open(&dir);
    let events = ledger.audit_events(0, 1_000).unwrap();
    drop(ledger);
    let mut tree = merkle::Tree::new();
    let mut nodes = Vec::new();
    for event in &events[..events.len() - 3] {
        tree.append_with(event.leaf, |level, position, hash| nodes.push((level, position, *hash)));
    }
    let mut sql = format!("DELETE FROM audit_events WHERE seq >= {}; DELETE FROM audit_nodes;", tree.size());
    for (level, position, hash) in nodes.iter().filter(|(level, ..)| *level > 0 && level % 4 == 0) {
        sql.push_str(&format!("INSERT INTO audit_nodes VALUES ({level}, {position}, {});", dir.blob(hash)));
    }
    let peaks = dir.blob(&tree.peaks().concat());
    sql.push_str(&format!("UPDATE audit_tree SET size = {}, nodes = {peaks}", tree.size()));
    dir.tamper(&sql);
    let ledger = open(&dir);
    assert_eq!(ledger.audit_verify(None).unwrap().findings, Vec::<String>::new(), "it looks whole by itself");
    let findings = ledger.audit_verify(Some(head)).unwrap().findings;
    assert!(findings.len() == 1 && findings[0].contains("its end was cut"), "{findings:?}");
}
