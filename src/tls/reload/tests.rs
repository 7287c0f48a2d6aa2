use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::tls::issue::{Issued, authority, leaf};

const DAY: Duration = Duration::from_hours(24);

fn noon() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn fresh(now: Timestamp) -> Issued {
    let ca = authority(now, "raywarden", DAY).unwrap();
    leaf(now, &ca, &["localhost".to_owned()], DAY).unwrap()
}

/// A directory as kubelet makes it: `tls.crt -> ..data/tls.crt`, `..data -> a directory`.
struct Volume(PathBuf);

impl Volume {
    fn new(test: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = std::env::temp_dir().join(format!("raywarden-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for name in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(Path::new("..data").join(name), dir.join(name)).unwrap();
        }
        Self(dir)
    }

    fn swap(&self, generation: &str, certificate: &str, key: &str) {
        let data = self.0.join(generation);
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("tls.crt"), certificate).unwrap();
        fs::write(data.join("tls.key"), key).unwrap();
        let next = self.0.join("..data_tmp");
        std::os::unix::fs::symlink(generation, &next).unwrap();
        fs::rename(next, self.0.join("..data")).unwrap();
    }

    fn reloader(&self) -> Reloader {
        let files = PairFiles { certificate: self.0.join("tls.crt"), key: self.0.join("tls.key") };
        Reloader::start(files, noon).unwrap()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_symlink_swap_brings_the_new_pair() {
    let volume = Volume::new("swap");
    let (first, second) = (fresh(noon()), fresh(noon()));
    volume.swap("..1", &first.certificate, &first.key);
    let mut reloader = volume.reloader();
    let before = reloader.resolver().facts();
    assert!(matches!(reloader.look(), Look::Unchanged));
    volume.swap("..2", &second.certificate, &second.key);
    let Look::Replaced(facts) = reloader.look() else { panic!("not replaced") };
    assert_ne!(facts.fingerprint, before.fingerprint);
    assert_eq!(reloader.resolver().facts(), facts);
}

#[test]
fn a_bad_pair_keeps_the_old_one_and_is_reported_once() {
    let volume = Volume::new("bad");
    let (first, second) = (fresh(noon()), fresh(noon()));
    volume.swap("..1", &first.certificate, &first.key);
    let mut reloader = volume.reloader();
    let before = reloader.resolver().facts();
    volume.swap("..2", &second.certificate, &first.key);
    let Look::Kept(refusal) = reloader.look() else { panic!("not kept") };
    assert!(refusal.to_string().contains("does not belong"));
    assert!(matches!(reloader.look(), Look::Unchanged));
    fs::remove_file(volume.0.join("..data")).unwrap();
    assert!(matches!(reloader.look(), Look::Kept(Refusal::Bad(PairError::Unreadable { .. }))));
    assert!(matches!(reloader.look(), Look::Unchanged));
    assert_eq!(reloader.resolver().facts(), before);
    volume.swap("..3", &second.certificate, &second.key);
    assert!(matches!(reloader.look(), Look::Replaced(_)));
}

#[test]
fn a_pair_that_has_ended_does_not_replace_one_that_serves() {
    let volume = Volume::new("ended");
    let first = fresh(noon());
    let old = fresh(noon().checked_sub(3 * DAY).unwrap());
    volume.swap("..1", &first.certificate, &first.key);
    let mut reloader = volume.reloader();
    volume.swap("..2", &old.certificate, &old.key);
    let Look::Kept(refusal) = reloader.look() else { panic!("not kept") };
    assert_eq!(refusal.to_string(), "the certificate ended at 2026-11-23T12:00:00Z");
}

#[test]
fn a_pair_out_of_its_time_is_served_when_there_is_no_other() {
    let volume = Volume::new("only");
    let old = fresh(noon().checked_sub(3 * DAY).unwrap());
    volume.swap("..1", &old.certificate, &old.key);
    assert!(volume.reloader().resolver().facts().fault(noon()).is_some());
}
