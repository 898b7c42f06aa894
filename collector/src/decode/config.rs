//! Where a span says whom and what it is for, and that nobody charges for it: names of attributes, which every organisation
//! chooses for itself.

use domain::observation::Dimensions;

use super::rulings::Ruling;

/// Names of the attributes that tell tenant, feature and the like; earlier names are stronger.
///
/// A name is looked for as an attribute of its own, behind each of `prefixes`, and as a key of each of `json_objects`,
/// on spans and on resources.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DecodeConfig {
    /// Names of the payer.
    pub tenant: Vec<String>,
    /// Names of the product feature.
    pub feature: Vec<String>,
    /// Names of the end user.
    pub user_id: Vec<String>,
    /// Names of the session or conversation.
    pub session_id: Vec<String>,
    /// Names of the agent.
    pub agent: Vec<String>,
    /// Names of the service; usually on the resource.
    pub service: Vec<String>,
    /// Names of the deployment environment; usually on the resource.
    pub environment: Vec<String>,
    /// Prefixes under which libraries put an application's own attributes.
    pub prefixes: Vec<String>,
    /// Attributes that hold an application's own attributes as one JSON object.
    pub json_objects: Vec<String>,
    /// Attributes that say of a call that it is not billed. An attribute that holds prompts or answers says nothing here.
    pub not_billable: Vec<Ruling>,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
        Self {
            tenant: names(&[
                "tenant.id",
                "tenant_id",
                "tenantId",
                "tenant",
                "metadata.user_api_key_team_id",
                "metadata.user_api_key_org_id",
            ]),
            feature: names(&[
                "feature.name",
                "feature_name",
                "featureName",
                "feature",
                "feature.id",
                "feature_id",
                "ai.telemetry.functionId",
            ]),
            user_id: names(&[
                "user.id",
                "enduser.id",
                "user_id",
                "userId",
                "langfuse.user.id",
                "mlflow.trace.user",
                "metadata.user_api_key_end_user_id",
                "metadata.user_api_key_user_id",
            ]),
            session_id: names(&[
                "session.id",
                "session_id",
                "sessionId",
                "langfuse.session.id",
                "mlflow.trace.session",
                "gen_ai.conversation.id",
            ]),
            agent: names(&["gen_ai.agent.name", "agent.name", "agent_name"]),
            service: names(&["service.name"]),
            environment: names(&[
                "deployment.environment.name",
                "deployment.environment",
                "langfuse.environment",
            ]),
            prefixes: names(&[
                "traceloop.association.properties.",
                "ai.telemetry.metadata.",
                "ai.settings.context.",
                "langfuse.trace.metadata.",
                "mastra.metadata.",
                "langfuse.observation.metadata.",
                "langsmith.metadata.",
                "metadata.",
            ]),
            json_objects: names(&["metadata", "metadata.requester_metadata", "langfuse.trace.metadata"]),
            not_billable: Vec::new(),
        }
    }
}

impl DecodeConfig {
    /// The names of a dimension, strongest first.
    pub(super) fn names(&self, dimension: Dimension) -> &[String] {
        match dimension {
            Dimension::Tenant => &self.tenant,
            Dimension::Feature => &self.feature,
            Dimension::User => &self.user_id,
            Dimension::Session => &self.session_id,
            Dimension::Agent => &self.agent,
            Dimension::Service => &self.service,
            Dimension::Environment => &self.environment,
        }
    }
}

/// One of the things a span may say of whom and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dimension {
    Tenant,
    Feature,
    User,
    Session,
    Agent,
    Service,
    Environment,
}

impl Dimension {
    pub(super) const LEN: usize = Self::Environment as usize + 1;
    pub(super) const ALL: [Self; Self::LEN] = [
        Self::Tenant,
        Self::Feature,
        Self::User,
        Self::Session,
        Self::Agent,
        Self::Service,
        Self::Environment,
    ];

    /// Its place in the domain's record.
    pub(super) fn of<S>(self, dimensions: &mut Dimensions<S>) -> &mut Option<S> {
        match self {
            Self::Tenant => &mut dimensions.tenant,
            Self::Feature => &mut dimensions.feature,
            Self::User => &mut dimensions.user_id,
            Self::Session => &mut dimensions.session_id,
            Self::Agent => &mut dimensions.agent,
            Self::Service => &mut dimensions.service,
            Self::Environment => &mut dimensions.environment,
        }
    }
}
