//! What a pure crate may and may not name.

use super::super::tree::tree;
use super::*;

fn named(text: &str) -> Vec<String> {
    let findings = check(&tree(&[("crates/model/src/a.rs", text)]));
    findings.into_iter().map(|finding| finding.what.replace("a pure crate names ", "")).collect()
}

#[test]
fn every_way_to_the_outside_is_found() {
    for text in [
        "use std::fs;",
        "fn a() { std::env::var(\"A\") }",
        "use std::thread::spawn;",
        "use std::process::Command;",
        "use std::os::fd::OwnedFd;",
        "use std::time::Instant as Now;",
        "use std::time;",
        "use std::time::*;",
        "use std::net::ToSocketAddrs;",
        "use std::io::stdin;",
        "use std as s;",
        "use std::*;",
        "use ::std::fs::File;",
        "async fn a() {}",
        "fn a(map: HashMap<u8, u8>) {}",
        "use aws_lc_rs::rand;",
        "use aws_lc_rs::rand::{self, SecureRandom};",
        "fn a() { aws_lc_rs::rand::fill(b) }",
        "tokio::spawn(a)",
    ] {
        assert!(!named(text).is_empty(), "{text}");
    }
}

#[test]
fn a_use_tree_is_unfolded_to_its_leaves() {
    let text = "use std::{collections::BTreeMap, fs::{self, File}, net::{IpAddr, TcpStream}, fmt};";

    assert_eq!(
        named(text),
        ["`TcpStream`", "`std::fs`", "`std::fs::File`", "`std::net::TcpStream`"]
    );
}

#[test]
fn what_is_pure_passes() {
    for text in [
        "use std::time::Duration;",
        "use std::net::{IpAddr, Ipv4Addr};",
        "use std::collections::{BTreeMap, BTreeSet};",
        "use std::io::{self, Read};",
        "use std::{fmt, str::FromStr as _, mem::{self, take}};",
        "fn a() { std::mem::take::<u8>(b) } // std::fs and tokio\nconst C: &str = \"async\";",
        "#[cfg(test)]\nmod tests { use std::fs; }",
        "use crate::std::fs;",
        "use aws_lc_rs::rand::SecureRandom;",
        "use aws_lc_rs::{rand::SecureRandom, signature};",
    ] {
        assert_eq!(named(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn crates_that_act_may_name_what_they_need() {
    assert_eq!(check(&tree(&[("crates/runner/src/a.rs", "use std::fs;")])), []);
}

#[test]
fn files_that_only_tests_compile_may_name_what_they_need() {
    let files = [
        ("crates/model/src/lib.rs", "#[cfg(test)]\nmod tests;"),
        ("crates/model/src/tests.rs", "use std::fs;"),
        ("crates/model/tests/corpus.rs", "use std::env;"),
    ];

    assert_eq!(check(&tree(&files)), []);
}
