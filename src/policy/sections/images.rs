//! Images that containers may run.

use super::super::compile::{Reader, at};
use super::super::matching::Globs;
use super::super::spec::{Enforcement, ImagesSpec};
use super::{Breach, Check, Scene};
use crate::model::template::text;
use crate::model::{Pointer, RuleId};

/// The compiled section.
#[derive(Clone, Debug)]
pub(in super::super) struct Rule {
    allowed: Globs,
    /// The images as they were written.
    written: String,
}

/// One rule for the section.
pub(in super::super) fn compile(
    spec: &ImagesSpec,
    reader: &mut Reader<'_>,
    rule: &mut impl FnMut(Option<Enforcement>, Check),
) {
    let place = at().join(&["images", "allowed"]);
    if spec.allowed.is_empty() {
        reader.flaw(place.clone(), "allows any image; write a list such as registry.example/*");
    }
    reader.distinct(&place, &spec.allowed);
    let (allowed, written) = (Globs::of(&spec.allowed), spec.allowed.join(", "));
    rule(spec.enforcement, Check::Images(Rule { allowed, written }));
}

impl Rule {
    pub(super) fn breaches(&self, scene: &Scene<'_>) -> Vec<Breach> {
        let mut out = Vec::new();
        for placed in scene.containers() {
            let image = text(placed.container.raw, "image").unwrap_or("");
            if !self.allows(image) {
                out.push(self.breach(
                    placed.container.at.at("image"),
                    image,
                    &scene.called(placed),
                ));
            }
        }
        let options = scene.cluster().options();
        if let Some(image) = text(options, "image").filter(|image| !self.allows(image)) {
            let at = scene.cluster().options_at().at("image");
            out.push(self.breach(at, image, "the autoscaler's container"));
        }
        out
    }

    fn allows(&self, image: &str) -> bool {
        !image.is_empty() && (self.allowed.holds(image) || self.allowed.holds(&full_name(image)))
    }

    fn breach(&self, at: Pointer, image: &str, called: &str) -> Breach {
        let found = if image.is_empty() {
            format!("{called} names no image")
        } else {
            format!("{called} runs {image:?}")
        };
        let fix = "name an image that the policy allows";
        Breach::new(RuleId::POLICY_IMAGES, at, found, self.written.as_str(), fix)
    }
}

/// The image with its registry, as container runtimes complete it.
fn full_name(image: &str) -> String {
    const USUAL: &str = "docker.io";
    match image.split_once('/') {
        None => format!("{USUAL}/library/{image}"),
        Some((first, _)) if first == "localhost" || first.contains(['.', ':']) => image.to_owned(),
        Some(_) => format!("{USUAL}/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_registry_is_known_by_its_full_name_too() {
        assert_eq!(full_name("ray:2"), "docker.io/library/ray:2");
        assert_eq!(full_name("rayproject/ray:2"), "docker.io/rayproject/ray:2");
        for whole in ["ghcr.example/ray:2", "registry:5000/ray", "localhost/ray"] {
            assert_eq!(full_name(whole), whole);
        }
    }
}
