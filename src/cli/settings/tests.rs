use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Probe {
    #[command(flatten)]
    settings: SettingsArgs,
}

fn parse(args: &[&str]) -> Result<SettingsArgs, String> {
    Probe::try_parse_from(std::iter::once("probe").chain(args.iter().copied()))
        .map(|probe| probe.settings)
        .map_err(|error| error.to_string())
}

#[test]
fn no_flag_means_the_settings_of_a_first_installation() {
    let args = parse(&[]).unwrap();
    assert_eq!(args.settings(), Settings::default());
    let policies = args.policies();
    assert!(!policies.strict && policies.policies.is_empty());
}

#[test]
fn every_flag_reaches_its_setting() {
    let args = parse(&[
        "--node-manager=raywarden",
        "--node-manager-for=team-a=kuberay",
        "--node-manager-for=team-b=raywarden",
        "--mode=audit",
        "--inject-at=pod",
        "--on-replicas-above-max=clamp",
        "--sidecar-cpu=1",
        "--sidecar-memory=1Gi",
        "--former-sidecar=500m,512Mi",
        "--former-sidecar=250m,256Mi",
        "--max-replicas-cap=100",
        "--scale-ceiling=50",
        "--strict",
        "--kuberay-account=system:serviceaccount:*:kuberay-operator",
        "--kueue-account=system:serviceaccount:q:kueue",
        "--domino-account=system:serviceaccount:d:op",
        "--own-account=system:serviceaccount:r:raywarden",
        "--hpa-account=system:serviceaccount:h:hpa",
    ])
    .unwrap();
    let size = |cpu: &str, memory: &str| SidecarSize { cpu: cpu.into(), memory: memory.into() };
    let settings = args.settings();
    assert_eq!(settings.node_manager, Some(NodeManager::Raywarden));
    assert_eq!(settings.node_manager("team-a"), NodeManager::KubeRay);
    assert_eq!(settings.node_manager("team-b"), NodeManager::Raywarden);
    assert_eq!(settings.mode, Mode::Audit);
    assert_eq!(settings.inject_at, InjectAt::Pod);
    assert_eq!(settings.on_replicas_above_max, OnReplicasAboveMax::Clamp);
    assert_eq!(settings.sidecar, size("1", "1Gi"));
    assert_eq!(settings.former_sidecars, [size("500m", "512Mi"), size("250m", "256Mi")]);
    assert_eq!((settings.max_replicas_cap, settings.scale_ceiling), (Some(100), Some(50)));
    let Accounts { kuberay, domino, kueue, ourselves, hpa, garbage_collector } = settings.accounts;
    assert_eq!(kuberay, ["system:serviceaccount:*:kuberay-operator"]);
    assert_eq!(kueue, ["system:serviceaccount:q:kueue"]);
    assert_eq!(domino, ["system:serviceaccount:d:op"]);
    assert_eq!(ourselves, ["system:serviceaccount:r:raywarden"]);
    assert_eq!(hpa, ["system:serviceaccount:h:hpa"]);
    assert_eq!(garbage_collector, Accounts::default().garbage_collector);
    assert!(args.policies().strict);
}

#[test]
fn a_mistake_is_answered_with_what_was_expected() {
    for (flag, words) in [
        ("--node-manager=kube", "[possible values: auto, raywarden, kuberay]"),
        ("--node-manager-for=team-a", "expected NAMESPACE=raywarden or NAMESPACE=kuberay"),
        ("--node-manager-for=Team_A=kuberay", "`Team_A` is no namespace name"),
        ("--node-manager-for=a=auto", "`auto` is no node manager"),
        ("--mode=warn", "[possible values: enforce, audit]"),
        ("--sidecar-cpu=half", "such as 500m"),
        ("--sidecar-cpu=0", "above zero"),
        ("--sidecar-memory=512MB", "such as 500m"),
        ("--former-sidecar=500m", "expected CPU,MEMORY"),
        ("--max-replicas-cap=-1", "-1 is not in 0.."),
        ("--kuberay-account=", "expected a user name"),
        ("--kuberay-account=kuberay/operator", "system:serviceaccount:kuberay:operator"),
        ("--own-account=system:serviceaccount:raywarden", "system:serviceaccount:NAMESPACE:NAME"),
    ] {
        let message = parse(&[flag]).unwrap_err();
        assert!(message.contains(words), "{flag}: {message}");
    }
}
