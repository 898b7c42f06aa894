//! What a month's totals lead to: for each tenant, what its plan makes of its usage, then its credits. Posted as a
//! difference like everything else, so that closing again after a crash posts what is missing and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::identity::{CallId, IdHasher, Realm, SpanId, TraceId};
use domain::ledger::{EntryType, Facts, Quantities, Standing, State, difference_as};
use domain::money::{Cost, RateTable};
use domain::plan::{Adjustment, CallUse, CreditGrant, MonthUse, UnitUse, use_credits};
use domain::price::UnitPart;
use domain::time::{BillingPeriod, EventTime};
use schemas::{CallSum, Database, DatabaseError, UnitSum};

use super::close::CloseError;
use crate::adjust;
use crate::invoice::{self, Draft, DraftError};
use crate::plans::PlanShelf;
use crate::settle::{SettleError, Settler};

/// Tenant and what should be added to its month.
pub type Due = BTreeMap<String, Vec<Adjustment>>;

/// What a month's totals lead to, by tenant, as things stood at a moment (microseconds since the epoch): credits that were
/// granted or used up by other months later play no part.
pub async fn due(
    database: &Database,
    plans: &PlanShelf,
    month: BillingPeriod,
    at: i64,
) -> Result<Due, DatabaseError> {
    let mut usage: BTreeMap<String, Cost> = BTreeMap::new();
    for sum in database.usage_charges(month).await? {
        *usage.entry(sum.tenant).or_default() += sum.charge;
    }
    // A commitment is due without any usage; what no tenant could be found for is nobody's.
    let named = plans.in_force.assignments.iter().filter(|known| known.holds_in(month));
    for tenant in named.filter_map(|known| known.tenant.clone()) {
        usage.entry(tenant).or_default();
    }
    usage.remove("");
    let mut used: BTreeMap<(String, String), Cost> = BTreeMap::new();
    for row in database.credits_used(Some(month), at).await? {
        used.insert((row.tenant, row.name), -row.charge);
    }
    // What people gave at once lowers what is left to use credits for, what they charged raises it, and so does what changes
    // earlier months, which no minimum eats up.
    let mut given: BTreeMap<String, Cost> = BTreeMap::new();
    for sum in database.correction_charges(month).await? {
        *given.entry(sum.tenant).or_default() += sum.charge;
    }
    for sum in database.posted_by_order(month).await? {
        *given.entry(sum.tenant).or_default() += sum.charge;
    }
    let mut grants = plans.in_force.credits.clone();
    grants.extend(adjust::grants(database, at).await?);
    let mut quantities = quantities(database, plans, month).await?;
    let mut due = Due::new();
    for (tenant, charge) in usage {
        let month_use = quantities.remove(&tenant).unwrap_or_default();
        let plan = plans.plan_of(&tenant, month);
        let mut made = plan.map(|plan| plan.monthly.adjustments(charge, &month_use)).unwrap_or_default();
        let left = charge
            + made.iter().map(|made| made.amount).sum()
            + given.get(&tenant).copied().unwrap_or_default();
        let grants = grants.iter().filter(|grant| grant.tenant == tenant);
        let used = |grant: &CreditGrant| {
            used.get(&(grant.tenant.clone(), grant.name.clone())).copied().unwrap_or_default()
        };
        made.extend(use_credits(grants, month, left, used));
        if !made.is_empty() {
            due.insert(tenant, made);
        }
    }
    Ok(due)
}

/// How many units tenants used in a month; nothing where no plan asks.
async fn quantities(
    database: &Database,
    plans: &PlanShelf,
    month: BillingPeriod,
) -> Result<BTreeMap<String, MonthUse>, DatabaseError> {
    let mut by_tenant: BTreeMap<String, MonthUse> = BTreeMap::new();
    if plans.in_force.plans.values().all(|plan| plan.monthly.quantities.is_empty()) {
        return Ok(by_tenant);
    }
    let not_invoiced = plans.not_invoiced.as_str();
    for sum in database.unit_sums(month, not_invoiced).await? {
        let counts = !sum.corrects && sum.state != State::Unpriced.name() && sum.plan_id != not_invoiced;
        let Some(unit) = UnitPart::named(&sum.unit).filter(|_| counts) else { continue };
        let UnitSum { tenant, provider, model, quantity, charge, .. } = sum;
        by_tenant.entry(tenant).or_default().units.push(UnitUse { provider, model, unit, quantity, charge });
    }
    for CallSum { tenant, provider, model, calls } in database.call_sums(month, not_invoiced).await? {
        by_tenant.entry(tenant).or_default().calls.push(CallUse { provider, model, calls });
    }
    Ok(by_tenant)
}

/// Posts what a month's totals lead to, then what its invoices end with: rounding and taxes, which are of all lines. Nothing,
/// where somebody is to be invoiced in a currency without a rate.
pub(super) async fn post(
    settler: &mut Settler,
    month: BillingPeriod,
    rates: &RateTable,
) -> Result<(), CloseError> {
    let database = settler.database().clone();
    let totals = due(&database, settler.plans(), month, i64::MAX).await?;
    let sums = database.tenant_sums(month).await?;
    let tenants = sums.iter().map(|sum| &sum.tenant).chain(totals.keys()).map(String::as_str);
    invoice::check_rates((settler.plans(), rates), tenants, month, &settler.config().currency)?;
    post_due(settler, month, SOURCE, totals).await?;
    let finish = finish(&database, settler.plans(), month).await?;
    post_due(settler, month, FINISH, finish).await?;
    Ok(())
}

/// What the lines of a month's invoices lead to, by tenant; nothing where no plan wants coins and there are no taxes.
pub async fn finish(database: &Database, plans: &PlanShelf, month: BillingPeriod) -> Result<Due, DraftError> {
    let file = &plans.in_force;
    let mut due = Due::new();
    if file.taxes.is_empty() && !file.plans.values().any(|plan| plan.whole_coins) {
        return Ok(due);
    }
    for draft in Draft::unfinished(database, month).await? {
        let made = invoice::finish_due(&draft, plans);
        if !made.is_empty() {
            due.insert(draft.tenant, made);
        }
    }
    Ok(due)
}

/// Posts what is due and not posted yet; takes back what was posted from the same source and is not due any more.
async fn post_due(
    settler: &mut Settler,
    month: BillingPeriod,
    source: &str,
    due: Due,
) -> Result<(), SettleError> {
    let mut standing: BTreeMap<CallId, (EntryType, Standing)> = BTreeMap::new();
    let posted = settler.database().adjustments_of(month).await?;
    for entry in posted.into_iter().filter(|entry| entry.facts.tenant_source == source) {
        let (_, stands) =
            standing.entry(entry.call).or_insert_with(|| (entry.entry_type, Standing::default()));
        stands.add(Arc::new(entry));
    }
    let mut entries = Vec::new();
    let mut wanted = BTreeSet::new();
    for (tenant, adjustments) in due {
        for adjustment in adjustments {
            let currency = &settler.config().currency;
            let (entry_type, call, facts) = facts(&tenant, month, source, &adjustment, currency);
            let quantities = Quantities { charge: adjustment.amount, ..Quantities::default() };
            let none = Standing::default();
            let stands = standing.get(&call).map_or(&none, |(_, stands)| stands);
            let target = Some((&facts, &quantities));
            entries.extend(difference_as([entry_type; 2], call, stands, target, settler.periods()));
            wanted.insert(call);
        }
    }
    for (call, (entry_type, stands)) in standing.iter().filter(|(call, _)| !wanted.contains(call)) {
        entries.extend(difference_as([*entry_type; 2], *call, stands, None, settler.periods()));
    }
    settler.post_entries(entries).await
}

/// What says that an entry was worked out at close from a month's totals, and not posted by a person.
const SOURCE: &str = "plan";

/// What says that an entry was worked out at close from the lines of an invoice.
const FINISH: &str = "invoice";

/// The facts of an adjustment: of a tenant and a month, of no call. Its ids follow from what it is.
fn facts(
    tenant: &str,
    month: BillingPeriod,
    source: &str,
    adjustment: &Adjustment,
    currency: &str,
) -> (EntryType, CallId, Facts) {
    let mut hasher = IdHasher::new("adjustment");
    hasher.part(tenant.as_bytes()).part(month.to_string().as_bytes());
    hasher.part(adjustment.kind.as_bytes()).part(adjustment.name.as_bytes());
    let call = CallId::of_adjustment(&hasher);
    let facts = of_no_call(call, source, tenant, month, (adjustment.kind, &adjustment.name), currency);
    let entry_type = if adjustment.kind == "credit" { EntryType::Credit } else { EntryType::Adjustment };
    (entry_type, call, facts)
}

/// The facts of an entry of a tenant and a month, and of no call: its kind of invoice line, and its name there.
pub(crate) fn of_no_call(
    call: CallId,
    source: &str,
    tenant: &str,
    month: BillingPeriod,
    (kind, name): (&str, &str),
    currency: &str,
) -> Facts {
    let text = String::new;
    // The last instant of the month: what happened in the month includes what it came to.
    let last = month.end().timestamp_nanos_opt().unwrap_or(i64::MAX) - 1;
    let bytes = call.bytes();
    let span = bytes.first_chunk::<8>().copied().and_then(SpanId::from_bytes);
    Facts {
        state: State::Billed,
        tenant: tenant.to_string(),
        tenant_source: source.into(),
        feature: text(),
        user_id: text(),
        session_id: text(),
        agent: text(),
        service: text(),
        environment: text(),
        realm: Realm::new(text()),
        provider: text(),
        request_model: text(),
        model: text(),
        operation: name.to_string(),
        occurred_at: EventTime::from_nanos(last),
        service_tier: text(),
        region: text(),
        rule: kind.into(),
        currency: currency.into(),
        price_id: text(),
        plan_id: text(),
        // The view shows neither.
        trace: TraceId::from_bytes(bytes).expect("a call's id is not all zeros"),
        span: span.unwrap_or(SpanId::from_bytes([1; 8]).expect("not all zeros")),
        response_id: text(),
    }
}
