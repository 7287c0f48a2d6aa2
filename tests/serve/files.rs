//! A directory of a test's own, and certificates in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use raywarden::tls::issue::{Issued, authority, leaf};

/// A directory that goes away with its owner.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "raywarden-serve-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One authority and the leaves that it signs for loopback.
pub(crate) struct Ca(Issued);

impl Ca {
    pub(crate) fn new() -> Self {
        Self(authority(Timestamp::now(), "raywarden test", Duration::from_hours(24)).unwrap())
    }

    pub(crate) fn pem(&self) -> &str {
        &self.0.certificate
    }

    pub(crate) fn leaf(&self) -> Issued {
        self.leaf_for(Duration::from_hours(1))
    }

    pub(crate) fn leaf_for(&self, lifetime: Duration) -> Issued {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        leaf(Timestamp::now(), &self.0, &names, lifetime).unwrap()
    }
}

/// A volume as kubelet makes it: `tls.crt -> ..data/tls.crt`, `..data -> a directory`.
pub(crate) struct Volume(pub(crate) Dir);

impl Volume {
    pub(crate) fn new(pair: &Issued) -> Self {
        let volume = Self(Dir::new());
        for name in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(Path::new("..data").join(name), volume.0.path(name))
                .unwrap();
        }
        volume.swap("..first", &pair.certificate, &pair.key);
        volume
    }

    pub(crate) fn swap(&self, generation: &str, certificate: &str, key: &str) {
        let data = self.0.path(generation);
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("tls.crt"), certificate).unwrap();
        fs::write(data.join("tls.key"), key).unwrap();
        let next = self.0.path("..next");
        std::os::unix::fs::symlink(generation, &next).unwrap();
        fs::rename(next, self.0.path("..data")).unwrap();
    }

    pub(crate) fn args(&self) -> Vec<String> {
        vec![
            "--tls-cert".to_owned(),
            self.0.text("tls.crt"),
            "--tls-key".to_owned(),
            self.0.text("tls.key"),
        ]
    }
}
