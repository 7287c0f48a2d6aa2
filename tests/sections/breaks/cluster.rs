//! What is asked of a cluster as a whole, of its templates beside their containers, and of the
//! autoscaler.

use serde_json::{Value, json};

use super::super::world::{CONTAINERS, ON, QUEUE, SECTIONS, SUBMITTERS, template};
use super::Break;

pub(super) fn breaks() -> Vec<Break> {
    [labels(), service_accounts(), auth(), exposure(), queue(), autoscaling(), sidecar()].concat()
}

const OPTIONS: &str = "autoscalerOptions";

fn labels() -> Vec<Break> {
    const OF_TEMPLATE: &str = "template.metadata.labels[cost-center]";
    let rule = |label: &str| {
        Break::new("policy/labels", format!("labels: {{required: [{{key: cost-center{label}}}]}}"))
    };
    let on_object = "metadata.labels[cost-center]".to_owned();
    let own = (on_object.clone(), json!("cc-1"));
    let carried = |section: &str| (format!("{section}.{OF_TEMPLATE}"), json!("cc-1"));
    let everywhere = [&[own.clone()][..], &SECTIONS.map(carried)].concat();
    let on_pods = || rule(", onPods: true, values: ['cc-*']").all_given(&everywhere);
    let wrong = [Value::Null, json!(""), json!("free")];
    let mut all = Vec::new();
    for value in &wrong {
        all.push(rule(", values: ['cc-*']").given(own.clone()).broken(&on_object, value.clone()));
        all.push(on_pods().broken(&on_object, value.clone()));
        for section in SECTIONS {
            all.push(on_pods().broken(format!("{section}.{OF_TEMPLATE}"), value.clone()));
        }
    }
    // Without values any will do, and without onPods no template has to carry it.
    for none in [Value::Null, json!("")] {
        all.push(rule("").given(own.clone()).broken(&on_object, none));
    }
    all.push(rule("").given(own.clone()).set(&on_object, json!("free")));
    all.push(rule("").given(own).set("metadata.labels", Value::Null).found(on_object));
    for section in SECTIONS {
        let labels = format!("{section}.template.metadata");
        all.push(rule("").all_given(&everywhere).set(&labels, Value::Null));
        let place = format!("{section}.{OF_TEMPLATE}");
        all.push(on_pods().set(labels, Value::Null).found(place));
    }
    all
}

fn service_accounts() -> Vec<Break> {
    const RULE: &str = "policy/service-accounts";
    let account = |section: &str| format!("{section}.template.spec.serviceAccountName");
    let named = SECTIONS.map(|section| (account(section), json!("ray-pod")));
    let listed = || Break::new(RULE, "serviceAccounts: {allowed: ['ray-*']}").all_given(&named);
    let no_default =
        || Break::new(RULE, "serviceAccounts: {forbidDefault: true}").all_given(&named);
    let mut all = Vec::new();
    for section in SECTIONS {
        for value in [json!("admin"), json!("default"), json!(""), Value::Null] {
            let fine = value == json!("admin");
            all.push(listed().broken(account(section), value.clone()));
            let each = no_default().set(account(section), value);
            all.push(if fine { each } else { each.found(account(section)) });
        }
        // The node manager gives an account to the head that scales and names none.
        for rule in [listed(), no_default()] {
            let each = rule.given(ON).set(account(section), Value::Null);
            let of_head = section == "headGroupSpec";
            all.push(if of_head { each } else { each.found(account(section)) });
        }
        all.push(listed().given(ON).broken(account(section), json!("admin")));
    }
    for (kind, submitter) in SUBMITTERS {
        let account = format!("{submitter}.spec.serviceAccountName");
        let given = |rule: Break| {
            let submits = rule.given((submitter, template("submit")));
            submits.given((account.clone(), json!("ray-submit"))).only_in(kind)
        };
        for rule in [listed(), listed().given(ON), no_default()] {
            all.push(given(rule).broken(&account, Value::Null));
        }
        all.push(given(listed()).broken(&account, json!("admin")));
        // One that the object does not write is not judged.
        all.push(given(no_default()).set(submitter, Value::Null));
    }
    all
}

fn auth() -> Vec<Break> {
    let rule = || {
        Break::new("policy/auth", "auth: {requireToken: true}")
            .given(("authOptions", json!({"mode": "token"})))
    };
    let mode = "authOptions.mode";
    vec![
        rule().set("authOptions", Value::Null).found(mode),
        rule().broken(mode, Value::Null),
        rule().broken(mode, json!("disabled")),
        rule().broken("rayVersion", json!("2.51.9")),
        rule().broken("rayVersion", Value::Null),
        rule().set("rayVersion", json!("2.60.0")),
    ]
}

/// Ways in from outside, with what opens them.
fn ways() -> Vec<(&'static str, &'static str, Value)> {
    let addresses = json!(["192.0.2.7"]);
    vec![
        ("Ingress", "headGroupSpec.enableIngress", json!(true)),
        ("LoadBalancer", "headGroupSpec.serviceType", json!("LoadBalancer")),
        ("LoadBalancer", "headGroupSpec.headService.spec.type", json!("LoadBalancer")),
        ("LoadBalancer", "spec.serveService.spec.type", json!("LoadBalancer")),
        ("NodePort", "headGroupSpec.serviceType", json!("NodePort")),
        ("NodePort", "headGroupSpec.headService.spec.type", json!("NodePort")),
        ("NodePort", "spec.serveService.spec.type", json!("NodePort")),
        ("ExternalIps", "headGroupSpec.headService.spec.externalIPs", addresses.clone()),
        ("ExternalIps", "spec.serveService.spec.externalIPs", addresses),
    ]
}

fn exposure() -> Vec<Break> {
    const ALL: [&str; 6] =
        ["Ingress", "LoadBalancer", "NodePort", "ExternalIps", "HostPort", "HostNetwork"];
    let rule = |way: &str| Break::new("policy/exposure", format!("exposure: {{forbid: [{way}]}}"));
    let mut opened: Vec<(&str, String, Value)> =
        ways().into_iter().map(|(way, path, value)| (way, path.to_owned(), value)).collect();
    let own = SECTIONS.map(|section| format!("{section}.template.spec"));
    let submitters = SUBMITTERS.map(|(_, template)| format!("{template}.spec"));
    for pod in own.into_iter().chain(submitters) {
        opened.push(("HostNetwork", format!("{pod}.hostNetwork"), json!(true)));
        for container in CONTAINERS {
            let port = format!("{pod}.{container}.ports[0].hostPort");
            opened.push(("HostPort", port, json!(8265)));
        }
    }
    let mut all = Vec::new();
    for (way, path, value) in opened {
        for forbidden in ALL {
            let each = rule(forbidden).set(&path, value.clone());
            let each = if forbidden == way { each.found(&path) } else { each };
            let submitter = SUBMITTERS.into_iter().find(|(_, at)| path.starts_with(at));
            all.push(match submitter {
                Some((kind, at)) => each.given((at, template("submit"))).only_in(kind),
                None if path.starts_with("spec.serveService") => each.only_in("RayService"),
                None => each,
            });
        }
    }
    let inside = [
        ("headGroupSpec.enableIngress", json!(false)),
        ("headGroupSpec.serviceType", json!("ClusterIP")),
        ("headGroupSpec.template.spec.containers[0].ports[0].hostPort", json!(0)),
    ];
    for (path, value) in inside {
        all.push(rule(&ALL.join(", ")).set(path, value));
    }
    all
}

fn queue() -> Vec<Break> {
    let label = format!("metadata.labels[{QUEUE}]");
    let queued = |rule: &'static str, spec: &str, queue: &str| {
        Break::new(rule, format!("queue: {{{spec}}}")).given((label.clone(), json!(queue)))
    };
    let (required, team) = ("required: true", "allowed: ['team-*']");
    let mut all = vec![
        queued("policy/queue", required, "a").set(&label, json!("gold")),
        queued("policy/queue", team, "team-a").broken(&label, json!("gold")),
        queued("policy/queue", team, "team-a").set(&label, json!("team-b")),
        queued("policy/queue", team, "team-a").set(&label, Value::Null),
        queued("policy/queue", "required: true, allowed: [gold]", "gold")
            .broken(&label, Value::Null),
        queued("policy/queue-immutable", "immutable: true", "a").set(&label, json!("a")),
        Break::new("policy/queue-immutable", "queue: {immutable: true}").set(&label, json!("a")),
    ];
    for value in [Value::Null, json!("")] {
        all.push(queued("policy/queue", required, "a").broken(&label, value));
    }
    for value in [Value::Null, json!(""), json!("b")] {
        let stays = queued("policy/queue-immutable", "immutable: true", "a").comparing();
        let left = stays.broken(&label, value);
        // Together with another change too.
        all.push(left.clone().set("workerGroupSpecs[0].replicas", json!(2)));
        all.push(left);
    }
    all
}

fn autoscaling() -> Vec<Break> {
    const VARIABLE: &str = "headGroupSpec.template.spec.containers[0].env[0]";
    let rule = |spec: &str| Break::new("policy/autoscaling", format!("autoscaling: {{{spec}}}"));
    let scales = |spec: &str| rule(spec).given(ON);
    let (flag, on) = ON;
    let variable = |value: &str| json!({"name": "RAY_enable_autoscaler_v2", "value": value});
    let env = ("headGroupSpec.template.spec.containers[0].env", json!([variable("1")]));
    let option = |key: &str| format!("{OPTIONS}.{key}");
    let (version, mode) = (option("version"), option("upscalingMode"));
    let idle = "idleTimeoutSeconds";
    let (calm, times) =
        ("upscalingModes: [Conservative, Default]", "idleTimeoutSeconds: {min: 60, max: 600}");
    let mut all = vec![
        scales("mode: Required").broken(flag, Value::Null),
        scales("mode: Required").broken(flag, json!(false)),
        scales("mode: Required").set(flag, Value::Null).set("workerGroupSpecs", json!([])),
        rule("mode: Forbidden").broken(flag, on),
        scales("versions: [v2]").set(&version, json!("v2")),
        scales("versions: [v2]").broken(&version, json!("v1")),
        rule("versions: [v2]").set(&version, json!("v1")),
        scales("versions: [v2]").given(env).broken(VARIABLE, variable("0")),
        scales(calm).set(&mode, json!("Default")),
        scales(calm).broken(&mode, json!("Aggressive")),
        rule(calm).set(&mode, json!("Aggressive")),
    ];
    let holders = [OPTIONS, SECTIONS[1], SECTIONS[2]];
    for path in holders.map(|holder| format!("{holder}.{idle}")) {
        for fine in [60, 600] {
            all.push(scales(times).set(&path, json!(fine)));
        }
        for out in [59, 601] {
            all.push(scales(times).broken(&path, json!(out)));
        }
        all.push(rule(times).set(path, json!(601)));
    }
    all
}

/// A head that runs the container that raywarden injects, and options that say the same.
fn injected(rule: Break) -> Break {
    let mut container = template("autoscaler")["spec"]["containers"][0].clone();
    let size = json!({"cpu": "1", "memory": "2Gi"});
    container["resources"] = json!({"limits": size, "requests": size});
    container["env"] = json!([{"name": "RAYWARDEN_MANAGED", "value": "true"}]);
    let options = json!({
        "resources": container["resources"], "securityContext": container["securityContext"],
    });
    rule.given(ON).given((OPTIONS, options)).given((IN_HEAD, container)).standalone()
}

const IN_HEAD: &str = "headGroupSpec.template.spec.containers[2]";

fn sidecar() -> Vec<Break> {
    let plain = |spec: &str| Break::new("policy/sidecar", format!("sidecar: {{{spec}}}"));
    let rule = |spec: &str| injected(plain(spec));
    let (size, baseline) = ("cpu: 1, memory: 2Gi", "podSecurity: baseline");
    let restricted = || rule("podSecurity: restricted");
    let mut all = Vec::new();
    for half in ["limits", "requests"] {
        for (key, most, more) in [("cpu", "1000m", "1001m"), ("memory", "2048Mi", "2049Mi")] {
            let path = |holder: &str| format!("{holder}.resources.{half}[{key}]");
            for holder in [OPTIONS, IN_HEAD] {
                all.push(rule(size).set(path(holder), json!(most)));
                all.push(rule(size).broken(path(holder), json!(more)));
                let other = if key == "cpu" { "memory: 1Ti" } else { "cpu: 64" };
                all.push(rule(other).set(path(holder), json!(more)));
            }
            // Without autoscaling the options mean nothing.
            all.push(plain(size).set(path(OPTIONS), json!(more)));
        }
    }
    for holder in [OPTIONS, IN_HEAD] {
        let context = |key: &str| format!("{holder}.securityContext.{key}");
        let mut root = json!({"runAsUser": 0, "capabilities": {"drop": ["ALL"]}});
        root["allowPrivilegeEscalation"] = json!(false);
        all.push(rule(baseline).broken(context("privileged"), json!(true)));
        all.push(restricted().broken(context("privileged"), json!(true)));
        all.push(restricted().broken(context("allowPrivilegeEscalation"), Value::Null));
        let place = context("runAsUser");
        all.push(restricted().set(format!("{holder}.securityContext"), root).found(place));
        all.push(
            restricted()
                .set(format!("{holder}.securityContext"), json!({}))
                .found(context("allowPrivilegeEscalation"))
                .found(context("capabilities.drop")),
        );
    }
    let (flag, on) = ON;
    let loose = (format!("{OPTIONS}.securityContext.privileged"), json!(true));
    all.push(plain(baseline).given(loose.clone()).set(flag, on).found(loose.0));
    all
}
