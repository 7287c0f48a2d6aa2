//! The controls, each with the place that breaks it.

use serde_json::Value;

use super::super::super::spec::PodSecurityLevel;
use super::super::Breach;
use super::is_true;
use crate::model::finding::quoted;
use crate::model::template::{NULL, list, member, text};
use crate::model::{Pointer, RuleId, Template};

/// A control of the standards.
struct Control {
    /// What the standards call it, and its level.
    name: &'static str,
    allowed: &'static str,
    fix: &'static str,
}

impl Control {
    const fn new(name: &'static str, allowed: &'static str, fix: &'static str) -> Self {
        Self { name, allowed, fix }
    }
}

const HOST_PROCESS: Control =
    Control::new("baseline, HostProcess", "false, or nothing", "take it out");
const HOST_NAMESPACES: Control =
    Control::new("baseline, Host Namespaces", "false, or nothing", "take it out");
const PRIVILEGED: Control =
    Control::new("baseline, Privileged Containers", "false, or nothing", "take it out");
const CAPABILITIES: Control = Control::new(
    "baseline, Capabilities",
    "those that a container has anyway, such as NET_BIND_SERVICE",
    "take the capability out",
);
const HOST_PATH: Control = Control::new(
    "baseline, HostPath Volumes",
    "volumes that are no folder of the node",
    "use another kind of volume",
);
const HOST_PORTS: Control =
    Control::new("baseline, Host Ports", "0, or nothing", "take hostPort out");
const HOST_PROBES: Control = Control::new(
    "baseline, Host Probes / Lifecycle Hooks",
    "nothing: the Pod itself is asked",
    "take host out",
);
const APP_ARMOR: Control = Control::new(
    "baseline, AppArmor",
    "RuntimeDefault, Localhost, or nothing",
    "set one of these, or take it out",
);
const SELINUX_TYPE: Control = Control::new(
    "baseline, SELinux",
    "container_t, container_init_t, container_kvm_t, container_engine_t, or nothing",
    "set one of these, or take it out",
);
const SELINUX_IDENTITY: Control = Control::new("baseline, SELinux", "nothing", "take it out");
const PROC_MOUNT: Control =
    Control::new("baseline, /proc Mount Type", "Default, or nothing", "take it out");
const SECCOMP: Control = Control::new(
    "baseline, Seccomp",
    "RuntimeDefault, Localhost, or nothing",
    "set RuntimeDefault, or take it out",
);
const SYSCTLS: Control = Control::new("baseline, Sysctls", "the safe ones", "take the sysctl out");
const VOLUME_TYPES: Control = Control::new(
    "restricted, Volume Types",
    "configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected, \
     secret",
    "use one of these, a persistentVolumeClaim for instance",
);
const ESCALATION: Control = Control::new(
    "restricted, Privilege Escalation",
    "false",
    "set allowPrivilegeEscalation: false",
);
const NON_ROOT: Control = Control::new(
    "restricted, Running as Non-root",
    "true, here or for the whole Pod",
    "set runAsNonRoot: true",
);
const NON_ROOT_USER: Control = Control::new(
    "restricted, Running as Non-root user",
    "any user but 0, or nothing",
    "set another user, or take it out",
);
const SECCOMP_SET: Control = Control::new(
    "restricted, Seccomp",
    "RuntimeDefault or Localhost, here or for the whole Pod",
    "set seccompProfile: {type: RuntimeDefault}",
);
const DROP_ALL: Control =
    Control::new("restricted, Capabilities", "a list with ALL", "set capabilities: {drop: [ALL]}");
const ADD_NONE: Control = Control::new(
    "restricted, Capabilities",
    "NET_BIND_SERVICE, or nothing",
    "take the capability out",
);

const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

const SELINUX_TYPES: [&str; 5] =
    ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

const PROFILES: [&str; 2] = ["RuntimeDefault", "Localhost"];

const PLAIN_VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Where a host may be asked instead of the Pod: probes and hooks of a container.
const ASKED: [(&[&str], &str); 5] = [
    (&["livenessProbe"], "probe"),
    (&["readinessProbe"], "probe"),
    (&["startupProbe"], "probe"),
    (&["lifecycle", "postStart"], "hook"),
    (&["lifecycle", "preStop"], "hook"),
];

/// The annotation that held a container's `AppArmor` profile before there was a field.
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What a Pod or container is called; asked only where something is broken.
type Called<'a> = &'a dyn Fn() -> String;

/// A security context.
pub(in super::super) struct Context<'a> {
    /// The context; null where there is none.
    pub(in super::super) value: &'a Value,
    /// The place of what has it as `securityContext`.
    pub(in super::super) owner: &'a Pointer,
    /// What has it.
    pub(in super::super) called: Called<'a>,
}

impl Context<'_> {
    fn at(&self, keys: &[&'static str]) -> Pointer {
        self.owner.at("securityContext").join(keys)
    }
}

/// One level, asked about one Pod.
pub(in super::super) struct Standard<'a> {
    restricted: bool,
    rule: RuleId,
    /// The Pod's spec; containers inherit from it.
    spec: &'a Value,
    out: &'a mut Vec<Breach>,
}

impl<'a> Standard<'a> {
    pub(in super::super) fn new(
        level: PodSecurityLevel,
        rule: RuleId,
        spec: &'a Value,
        out: &'a mut Vec<Breach>,
    ) -> Self {
        Self { restricted: level == PodSecurityLevel::Restricted, rule, spec, out }
    }

    fn breach(&mut self, control: &Control, at: Pointer, found: String) {
        let allowed = format!("{} ({})", control.allowed, control.name);
        self.out.push(Breach::new(self.rule, at, found, allowed, control.fix));
    }

    /// A value that is not there at all where one has to be.
    fn missing(&mut self, control: &Control, context: &Context<'_>, keys: &[&'static str]) {
        let key = keys.first().copied().unwrap_or_default();
        let found = format!("{} says no {key}", (context.called)());
        self.breach(control, context.at(keys), found);
    }

    fn wrong(
        &mut self,
        control: &Control,
        context: &Context<'_>,
        keys: &[&'static str],
        value: &Value,
    ) {
        let found = format!("{} of {} is {}", keys.join("."), (context.called)(), quoted(value));
        self.breach(control, context.at(keys), found);
    }

    fn pod_context(&self) -> &'a Value {
        member(self.spec, "securityContext").unwrap_or(NULL)
    }

    /// Controls that neither hold nor make sense on Windows.
    fn is_windows(&self) -> bool {
        member(self.spec, "os").and_then(|os| text(os, "name")) == Some("windows")
    }

    /// What the Pod itself asks for; `at` is the place of its spec.
    pub(super) fn pod(&mut self, at: &Pointer, called: Called<'_>) {
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if is_true(self.spec, key) {
                let found = format!("{key} of {} is true", called());
                self.breach(&HOST_NAMESPACES, at.at(key), found);
            }
        }
        self.volumes(at, called);
        let context = Context { value: self.pod_context(), owner: at, called };
        for (index, sysctl) in list(context.value, "sysctls").iter().enumerate() {
            let name = text(sysctl, "name").unwrap_or("");
            if !SAFE_SYSCTLS.contains(&name) {
                let found = format!("sysctl {name:?} of {}", called());
                let place = context.at(&["sysctls"]).at(index).at("name");
                self.breach(&SYSCTLS, place, found);
            }
        }
        self.either(&context);
    }

    fn volumes(&mut self, at: &Pointer, called: Called<'_>) {
        for (index, volume) in list(self.spec, "volumes").iter().enumerate() {
            for (kind, source) in volume.as_object().into_iter().flatten() {
                let plain = kind == "name" || PLAIN_VOLUMES.contains(&kind.as_str());
                let on_node = kind == "hostPath";
                if source.is_null() || plain || !(on_node || self.restricted) {
                    continue;
                }
                let control = if on_node { &HOST_PATH } else { &VOLUME_TYPES };
                let name = text(volume, "name").unwrap_or("");
                let found = format!("volume {name:?} of {} is a {kind}", called());
                self.breach(control, at.at("volumes").at(index).at(kind.clone()), found);
            }
        }
    }

    /// Profiles that are set by annotation.
    pub(super) fn annotations(&mut self, template: &Template<'_>, called: Called<'_>) {
        let annotations = template.metadata.get("annotations").and_then(Value::as_object);
        for (key, value) in annotations.into_iter().flatten() {
            let profile = value.as_str().unwrap_or("");
            let fine = profile.is_empty()
                || profile == "runtime/default"
                || profile.starts_with("localhost/");
            if key.starts_with(APP_ARMOR_ANNOTATION) && !fine {
                let place = template.at.join(&["metadata", "annotations"]).at(key.clone());
                let found = format!("annotation {key} of {} is {profile:?}", called());
                self.breach(&APP_ARMOR, place, found);
            }
        }
    }

    /// What a container asks for beside its security context.
    pub(super) fn container(&mut self, raw: &Value, at: &Pointer, called: Called<'_>) {
        for (index, port) in list(raw, "ports").iter().enumerate() {
            let on_node = member(port, "hostPort").filter(|it| it.as_i64() != Some(0));
            if let Some(on_node) = on_node {
                let found = format!("{} opens port {} of the node", called(), quoted(on_node));
                self.breach(&HOST_PORTS, at.at("ports").at(index).at("hostPort"), found);
            }
        }
        for (path, kind) in ASKED {
            let Some(handler) = path.iter().try_fold(raw, |value, key| member(value, key)) else {
                continue;
            };
            for how in ["httpGet", "tcpSocket"] {
                let host = member(handler, how).and_then(|it| text(it, "host"));
                if let Some(host) = host.filter(|host| !host.is_empty()) {
                    let found = format!("a {kind} of {} asks host {host:?}", called());
                    self.breach(&HOST_PROBES, at.join(path).join(&[how, "host"]), found);
                }
            }
        }
    }

    /// A container's security context.
    pub(in super::super) fn context(&mut self, context: &Context<'_>) {
        let value = context.value;
        if is_true(value, "privileged") {
            self.wrong(&PRIVILEGED, context, &["privileged"], &Value::Bool(true));
        }
        if let Some(mount) = member(value, "procMount").filter(|it| it.as_str() != Some("Default"))
        {
            self.wrong(&PROC_MOUNT, context, &["procMount"], mount);
        }
        self.capabilities(context);
        self.either(context);
        if !self.restricted {
            return;
        }
        let pod = self.pod_context();
        let unsaid = |key: &str| member(value, key).is_none() && member(pod, key).is_none();
        if unsaid("runAsNonRoot") {
            self.missing(&NON_ROOT, context, &["runAsNonRoot"]);
        }
        if self.is_windows() {
            return;
        }
        if unsaid("seccompProfile") {
            self.missing(&SECCOMP_SET, context, &["seccompProfile"]);
        }
        match member(value, "allowPrivilegeEscalation") {
            Some(Value::Bool(false)) => {}
            Some(other) => self.wrong(&ESCALATION, context, &["allowPrivilegeEscalation"], other),
            None => self.missing(&ESCALATION, context, &["allowPrivilegeEscalation"]),
        }
    }

    fn capabilities(&mut self, context: &Context<'_>) {
        let capabilities = member(context.value, "capabilities").unwrap_or(NULL);
        let hardens = self.restricted && !self.is_windows();
        for (index, capability) in list(capabilities, "add").iter().enumerate() {
            let name = capability.as_str().unwrap_or("");
            let (control, fine) = if hardens {
                (&ADD_NONE, name == "NET_BIND_SERVICE")
            } else {
                (&CAPABILITIES, DEFAULT_CAPABILITIES.contains(&name))
            };
            if !fine {
                let found = format!("{} adds capability {name:?}", (context.called)());
                self.breach(control, context.at(&["capabilities", "add"]).at(index), found);
            }
        }
        let all = |it: &Value| it.as_str() == Some("ALL");
        if hardens && !list(capabilities, "drop").iter().any(all) {
            let found = format!("{} does not drop all capabilities", (context.called)());
            self.breach(&DROP_ALL, context.at(&["capabilities", "drop"]), found);
        }
    }

    /// What holds for a Pod's context and a container's alike.
    fn either(&mut self, context: &Context<'_>) {
        let value = context.value;
        let seccomp = if self.restricted { &SECCOMP_SET } else { &SECCOMP };
        for (control, key) in [(&APP_ARMOR, "appArmorProfile"), (seccomp, "seccompProfile")] {
            let Some(profile) = member(value, key) else { continue };
            let kind = profile.get("type").unwrap_or(NULL);
            if !kind.as_str().is_some_and(|kind| PROFILES.contains(&kind)) {
                self.wrong(control, context, &[key, "type"], kind);
            }
        }
        if let Some(options) = member(value, "seLinuxOptions") {
            if let Some(kind) = member(options, "type")
                && !kind.as_str().is_some_and(|kind| SELINUX_TYPES.contains(&kind))
            {
                self.wrong(&SELINUX_TYPE, context, &["seLinuxOptions", "type"], kind);
            }
            for key in ["user", "role"] {
                if let Some(set) = member(options, key).filter(|it| it.as_str() != Some("")) {
                    self.wrong(&SELINUX_IDENTITY, context, &["seLinuxOptions", key], set);
                }
            }
        }
        if member(value, "windowsOptions").is_some_and(|it| is_true(it, "hostProcess")) {
            let keys = ["windowsOptions", "hostProcess"];
            self.wrong(&HOST_PROCESS, context, &keys, &Value::Bool(true));
        }
        if !self.restricted {
            return;
        }
        if let Some(said) = member(value, "runAsNonRoot").filter(|it| **it != Value::Bool(true)) {
            self.wrong(&NON_ROOT, context, &["runAsNonRoot"], said);
        }
        if let Some(user) = member(value, "runAsUser").filter(|it| it.as_i64() == Some(0)) {
            self.wrong(&NON_ROOT_USER, context, &["runAsUser"], user);
        }
    }
}
