//! Whether somebody else may do something, as the API server says.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec,
};
use kube::Client;
use kube::api::{Api, PostParams};

/// A verb on RayClusters of a namespace, of one or of all.
pub fn on_clusters(
    verb: &str,
    group: &str,
    namespace: &str,
    name: Option<&str>,
) -> ResourceAttributes {
    on("rayclusters", verb, group, namespace, name)
}

/// A verb on a resource of a namespace, of one or of all.
pub fn on(
    resource: &str,
    verb: &str,
    group: &str,
    namespace: &str,
    name: Option<&str>,
) -> ResourceAttributes {
    let word = |text: &str| Some(text.to_owned());
    ResourceAttributes {
        group: word(group),
        resource: word(resource),
        verb: word(verb),
        namespace: word(namespace),
        name: name.and_then(word),
        ..ResourceAttributes::default()
    }
}

/// Whether the subject of `spec` may do what it says.
pub async fn is_allowed(client: &Client, spec: SubjectAccessReviewSpec) -> kube::Result<bool> {
    let api: Api<SubjectAccessReview> = Api::all(client.clone());
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
