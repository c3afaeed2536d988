//! DescribeClientQuotas (KIP-546): which entities a filter finds.

use super::{ClientQuotas, EntityName, QuotaEntity, QuotaLimits, QuotaRefusal};

/// One component of a filter, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterComponent {
    /// `user`, `client-id` or `ip`.
    pub entity_type: String,
    /// Exact (0), default (1) or any that is specified (2).
    pub match_type: i8,
    /// The name, for an exact match alone.
    pub match_name: Option<String>,
}

/// What an entity must have of one type.
enum Wanted {
    /// This name.
    Exactly(EntityName),
    /// Any.
    Any,
}

impl Wanted {
    fn is_met_by(&self, name: Option<&EntityName>) -> bool {
        match (self, name) {
            (_, None) => false,
            (Self::Exactly(wanted), Some(name)) => wanted == name,
            (Self::Any, Some(_)) => true,
        }
    }
}

#[derive(Default)]
struct Filter {
    user: Option<Wanted>,
    client_id: Option<Wanted>,
    ip: Option<Wanted>,
}

/// The entities that have all that the components ask for and, if `strict`, nothing else.
///
/// # Errors
/// As `ClientQuotasImage.describe`.
pub fn describe<'a>(
    quotas: &'a ClientQuotas,
    components: &[FilterComponent],
    strict: bool,
) -> Result<Vec<(&'a QuotaEntity, &'a QuotaLimits)>, QuotaRefusal> {
    let filter = Filter::new(components)?;
    let found = quotas.iter().filter(|(entity, _)| {
        (!strict || entity.parts() == components.len()) && filter.finds(entity)
    });
    Ok(found.collect())
}

impl Filter {
    fn new(components: &[FilterComponent]) -> Result<Self, QuotaRefusal> {
        let mut filter = Self::default();
        for component in components {
            let entity_type = component.entity_type.as_str();
            let place = match entity_type {
                "" => return Err(QuotaRefusal::EmptyEntityType),
                "user" => &mut filter.user,
                "client-id" => &mut filter.client_id,
                "ip" => &mut filter.ip,
                other => return Err(QuotaRefusal::UnsupportedEntityType(other.to_owned())),
            };
            if place.is_some() {
                return Err(QuotaRefusal::RepeatedEntityType(entity_type.to_owned()));
            }
            *place = Some(wanted(component)?);
        }
        if filter.ip.is_some() && (filter.user.is_some() || filter.client_id.is_some()) {
            return Err(QuotaRefusal::IpAndOthersInFilter);
        }
        Ok(filter)
    }

    fn finds(&self, entity: &QuotaEntity) -> bool {
        let meets = |wanted: &Option<Wanted>, name: Option<&EntityName>| {
            wanted.as_ref().is_none_or(|wanted| wanted.is_met_by(name))
        };
        // No entity is an address.
        self.ip.is_none()
            && meets(&self.user, entity.user.as_ref())
            && meets(&self.client_id, entity.client_id.as_ref())
    }
}

fn wanted(component: &FilterComponent) -> Result<Wanted, QuotaRefusal> {
    match (component.match_type, &component.match_name) {
        (0, Some(name)) => Ok(Wanted::Exactly(EntityName::Named(name.clone()))),
        (0, None) => Err(QuotaRefusal::ExactWithoutMatch),
        (1, None) => Ok(Wanted::Exactly(EntityName::Default)),
        (1, Some(_)) => Err(QuotaRefusal::UnwantedMatch("DEFAULT")),
        (2, None) => Ok(Wanted::Any),
        (2, Some(_)) => Err(QuotaRefusal::UnwantedMatch("SPECIFIED")),
        (unknown, _) => Err(QuotaRefusal::UnknownMatchType(unknown)),
    }
}
