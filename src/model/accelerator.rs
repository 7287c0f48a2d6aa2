//! Which resources of Kubernetes are accelerators, and which of them Ray counts as GPUs.

/// Accelerators that Ray counts under a name of their own.
pub const OTHERS: [&str; 5] = [
    "aws.amazon.com/neuron",
    "aws.amazon.com/neuroncore",
    "aws.amazon.com/neurondevice",
    "google.com/tpu",
    "habana.ai/gaudi",
];

/// GPUs whose resource does not say so.
pub const UNNAMED_GPUS: [&str; 3] =
    ["gpu.intel.com/i915", "gpu.intel.com/xe", "nvidia.com/gpu.shared"];

/// Whether KubeRay takes a resource for a GPU: named so, or a slice of one, `nvidia.com/mig-2g.32gb`.
pub fn is_named_gpu(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let slice = || {
        let (parts, memory) = name.strip_prefix("nvidia.com/mig-")?.split_once("g.")?;
        Some(digits(parts) && digits(memory.strip_suffix("gb")?))
    };
    name.ends_with("gpu") || slice() == Some(true)
}

/// Whether a resource is an accelerator of any kind.
pub fn is_accelerator(name: &str) -> bool {
    is_named_gpu(name) || UNNAMED_GPUS.contains(&name) || has_own_name(name)
}

/// Whether Ray counts a resource under a name of its own, so that `num-gpus` is not about it.
pub fn has_own_name(name: &str) -> bool {
    OTHERS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accelerators_are_told_from_other_resources() {
        for name in ["nvidia.com/gpu", "amd.com/gpu", "nvidia.com/mig-1g.5gb", "gpu.intel.com/xe"] {
            assert!(is_accelerator(name) && !has_own_name(name), "{name}");
        }
        assert!(is_accelerator("google.com/tpu") && has_own_name("google.com/tpu"));
        for name in ["cpu", "memory", "nvidia.com/mig-g.gb", "rdma/hca", "nvidia.com/gpumem"] {
            assert!(!is_accelerator(name), "{name}");
        }
    }
}
