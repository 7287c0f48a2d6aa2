//! What was wrong with the services that Domino's users have had so far, by number: the tests of this
//! folder that are called after a number look for that fault, beside the old answer where one is recorded.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::identity::key_of;
use super::old::{self, mended, refuses};
use super::world::WORLD;

/// In order, from `d01` on.
const DEFECTS: [&str; 41] = [
    "whoever was nobody to Domino owned every cluster with an empty owner",
    "a read logged the caller's credentials",
    "callers' tokens went to a public host unless somebody said otherwise",
    "anybody could restart a head",
    "anybody could see how a restart went",
    "users raised the maximum of their clusters without bound",
    "clusters were read before the caller was known, and the answer told which names exist",
    "an environment variable opened a debugger to the network",
    "somebody anonymous was an admin where Domino's answer said both, or said nothing",
    "errors carried exceptions of Kubernetes, and clusters their keytab",
    "tiers that are archived or hidden were accepted",
    "the installation had every right on clusters",
    "what failed was a page of HTML with status 500",
    "a count could be a text, a fraction or a truth value",
    "zero workers were written together with a minimum of zero",
    "each scale replaced the maximum for good",
    "one cluster without labels broke the list for everybody",
    "a whole object was written back, so that a status in between was a failure",
    "what was checked could change before it was written",
    "the minimum stayed, so that the autoscaler undid the scale",
    "a count was converted rather than read",
    "a body of JSON that is no object was an error of the server",
    "a tier that the caller named was dropped without a word",
    "limits of an earlier tier stayed",
    "units of memory were cut to two letters",
    "GPUs were one vendor's, and those of an earlier tier stayed",
    "what a tier says beyond its size was left out",
    "the head's name was guessed from the cluster's",
    "a restart was recognised by two clocks and whole seconds",
    "a head that was being replaced was not found",
    "a second restart removed the new head",
    "Domino's outage was a stranger, or an empty list",
    "a list of tiers that could not be had was a missing tier",
    "an outage took longer than clients wait",
    "nothing was paged, bounded, audited or checked for readiness",
    "the charts had one replica, no bounds, and bindings without roles",
    "one documented prefix was not served, errors were no JSON, and 404 meant no autoscaling",
    "a scale counted as done when Pods had names",
    "a scale could not be taken back",
    "waiting for workers after the head's restart never ended",
    "a scale did not say since when to wait",
];

#[test]
fn every_defect_of_the_old_services_has_a_test_named_after_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/domino");
    let mut named = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).unwrap_or_default();
        for name in text.lines().filter_map(|line| line.strip_prefix("fn ")) {
            named.extend(name.split('_').map_while(number));
        }
    }
    let missing: Vec<_> =
        (1..).zip(DEFECTS).filter(|(number, _)| !named.contains(number)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(named.last() == Some(&DEFECTS.len()), "{named:?}");
}

/// `d07` is 7.
fn number(part: &str) -> Option<usize> {
    part.strip_prefix('d').filter(|digits| digits.len() == 2)?.parse().ok()
}

#[test]
fn d08_no_path_and_no_parameter_opens_a_debugger() {
    let console = old::text(200, "<title>Interactive Console</title>");
    for path in [
        "/console",
        "/?__debugger__=yes&cmd=resource&f=debugger.js",
        "/raycluster?__debugger__=yes",
    ] {
        let answer = WORLD.api.call("GET", path, &[key_of("root")], "");
        mended(&answer, &console, &|it| refuses(it, 404, "not_found"));
    }
}
