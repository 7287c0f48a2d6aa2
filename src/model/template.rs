//! A Pod template as the rules see it: borrowed, and every part with its place.

use serde_json::Value;

use super::Pointer;

/// A head or worker template.
#[derive(Clone, Debug)]
pub struct Template<'a> {
    /// Place of `template`.
    pub at: Pointer,
    /// `template.metadata`; null where there is none.
    pub metadata: &'a Value,
    /// `template.spec`; null where there is none.
    pub spec: &'a Value,
}

/// A container of a template.
#[derive(Clone, Debug)]
pub struct Container<'a> {
    /// Its place.
    pub at: Pointer,
    /// The container itself.
    pub raw: &'a Value,
}

/// Stands for a member that is not there.
pub const NULL: &Value = &Value::Null;

/// The member `key`, where it is there and not null.
pub fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    value.get(key).filter(|found| !found.is_null())
}

/// The member `key` as text.
pub fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The member `key` as a list; empty where there is none.
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The position of the entry of `entries` whose `key` is `name`.
pub fn position(entries: &[Value], key: &str, name: &str) -> Option<usize> {
    entries.iter().position(|entry| text(entry, key) == Some(name))
}

/// The entry of `entries` whose `key` is `name`.
pub fn entry<'a>(entries: &'a [Value], key: &str, name: &str) -> Option<&'a Value> {
    entries.iter().find(|entry| text(entry, key) == Some(name))
}

/// A mount path without repeated and closing slashes, so that `/tmp/ray/` is `/tmp/ray`.
pub fn cleaned(path: &str) -> String {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("/{}", parts.join("/"))
}

/// Whether `path` is `folder` or lies in it, both cleaned.
pub fn covers(folder: &str, path: &str) -> bool {
    let (folder, path) = (cleaned(folder), cleaned(path));
    path == folder || path.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'))
}

impl<'a> Template<'a> {
    /// The template of `group`, a head or worker group that stands at `at`.
    pub fn of(group: &'a Value, at: &Pointer) -> Self {
        Self::read(group.get("template").unwrap_or(NULL), at.at("template"))
    }

    /// The template that is `raw` and stands at `at`.
    pub fn read(raw: &'a Value, at: Pointer) -> Self {
        let part = |key| raw.get(key).unwrap_or(NULL);
        Self { at, metadata: part("metadata"), spec: part("spec") }
    }

    /// The place of `template.spec.<key>`.
    pub fn field(&self, key: &'static str) -> Pointer {
        self.at.join(&["spec", key])
    }

    /// The containers, in order.
    pub fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        self.listed("containers")
    }

    /// The containers that run before those, sidecars that go on running among them, in order.
    pub fn init_containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        self.listed("initContainers")
    }

    /// Every container, the init containers first.
    pub fn every_container(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        self.init_containers().chain(self.containers())
    }

    fn listed(&self, key: &'static str) -> impl Iterator<Item = Container<'a>> + use<'a> {
        let at = self.field(key);
        let containers = list(self.spec, key).iter().enumerate();
        containers.map(move |(index, raw)| Container { at: at.at(index), raw })
    }

    /// The container that runs Ray: the first, whatever its name.
    pub fn ray_container(&self) -> Option<Container<'a>> {
        self.containers().next()
    }

    /// The container of that name.
    pub fn container(&self, name: &str) -> Option<Container<'a>> {
        self.containers().find(|container| container.name() == Some(name))
    }
}

impl<'a> Container<'a> {
    /// Its name.
    pub fn name(&self) -> Option<&'a str> {
        text(self.raw, "name")
    }

    /// The variable of that name, the last one where there are several.
    pub fn env(&self, name: &str) -> Option<&'a Value> {
        list(self.raw, "env").iter().rev().find(|entry| text(entry, "name") == Some(name))
    }

    /// The literal value of a variable.
    pub fn env_value(&self, name: &str) -> Option<&'a str> {
        self.env(name).and_then(|entry| text(entry, "value"))
    }

    /// The mount at `path`, paths cleaned, and its position.
    pub fn mount_at(&self, path: &str) -> Option<(usize, &'a Value)> {
        mount_at(list(self.raw, "volumeMounts"), path)
    }

    /// Command and arguments as one line.
    pub fn command_line(&self) -> String {
        ["command", "args"]
            .iter()
            .flat_map(|key| list(self.raw, key))
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The mount at `path` in a list of mounts, paths cleaned, and its position.
pub fn mount_at<'a>(mounts: &'a [Value], path: &str) -> Option<(usize, &'a Value)> {
    mounts
        .iter()
        .enumerate()
        .find(|(_, mount)| text(mount, "mountPath").is_some_and(|at| cleaned(at) == cleaned(path)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_container_is_found_at_its_place_the_init_containers_first() {
        let group = json!({"template": {"spec": {
            "containers": [{"name": "ray"}, {"name": "logs"}], "initContainers": [{"name": "wait"}],
        }}});
        let template = Template::of(&group, &Pointer::of(["spec", "headGroupSpec"]));
        let found: Vec<_> = template.every_container().collect();
        let names: Vec<_> = found.iter().filter_map(Container::name).collect();
        assert_eq!(names, ["wait", "ray", "logs"]);
        let places: Vec<_> = found.iter().map(|it| it.at.to_string()).collect();
        assert_eq!(places[0], "spec.headGroupSpec.template.spec.initContainers[0]");
        assert_eq!(places[2], "spec.headGroupSpec.template.spec.containers[1]");
        assert_eq!(template.init_containers().count(), 1);
    }

    #[test]
    fn paths_are_compared_in_cleaned_form() {
        assert_eq!(cleaned("/tmp//ray/./"), "/tmp/ray");
        assert_eq!(cleaned("/"), "/");
        assert!(covers("/etc/ray/tls/", "/etc/ray/tls/ca.crt"));
        assert!(!covers("/etc/ray/tl", "/etc/ray/tls/ca.crt"));
    }
}
