//! On-demand Linux prices: from the Pricing API, or from a dated table built in.
//!
//! The Pricing API knows bare metal as tenancy Dedicated of its own product
//! family, everything else as tenancy Shared: two questions, one answer.
//! Whether the built-in table stands in for a silent API is the caller's decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_pricing::operation::get_products::builders::GetProductsInputBuilder;
use aws_sdk_pricing::types::{Filter, FilterType};
use serde::Deserialize;
use spotocean_core::id::InstanceTypeName;
use spotocean_core::money::PricePerHour;
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::error::{invalid, unreadable};
use crate::page::{self, Page};
use crate::throttle::Action;

const GET_PRODUCTS: Action = Action::other("GetProducts");
const SERVICE: &str = "AmazonEC2";
/// The Pricing API's largest page.
const PAGE_SIZE: i32 = 100;
const BUILT_IN: &str = include_str!("../data/on_demand_prices.json");

/// What both questions ask: plain Linux, no licences, no reservations.
const LINUX: &[(&str, &str)] = &[
    ("operatingSystem", "Linux"),
    ("preInstalledSw", "NA"),
    ("capacitystatus", "Used"),
];
const SHARED: &[(&str, &str)] = &[("tenancy", "Shared")];
const BARE_METAL: &[(&str, &str)] = &[
    ("tenancy", "Dedicated"),
    ("productFamily", "Compute Instance (bare metal)"),
];

/// The built-in price table.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuiltInPrices {
    /// Where it was taken from.
    pub source: Arc<str>,
    /// The region whose prices these are; other regions differ by some percent.
    pub region: Arc<str>,
    /// The day they were taken.
    pub as_of: Arc<str>,
    /// Prices by type.
    #[serde(rename = "microUsdPerHour")]
    pub prices: BTreeMap<InstanceTypeName, PricePerHour>,
}

/// The built-in on-demand prices, for when the Pricing API does not answer.
#[must_use]
pub fn built_in_on_demand_prices() -> BuiltInPrices {
    serde_json::from_str(BUILT_IN).expect("the built-in table is checked by a test")
}

/// On-demand Linux prices per type.
pub(crate) async fn on_demand(
    cloud: &AwsCloud,
) -> Result<BTreeMap<InstanceTypeName, PricePerHour>, CloudError> {
    let mut prices = BTreeMap::new();
    for question in [BARE_METAL, SHARED] {
        let request = &request(&cloud.region, question)?;
        let products = page::every(|token| async move {
            let request = request.clone().set_next_token(token);
            let answer = cloud
                .call(GET_PRODUCTS, request.send_with(&cloud.pricing))
                .await?;
            Ok(Page {
                items: answer.price_list.unwrap_or_default(),
                next: answer.next_token,
            })
        });
        prices.extend(
            products
                .await?
                .iter()
                .filter_map(|product| read(product, question)),
        );
    }
    if prices.is_empty() {
        let message = format!(
            "the Pricing API lists no on-demand price for region {}",
            cloud.region
        );
        return Err(unreadable(GET_PRODUCTS.name, message));
    }
    Ok(prices)
}

fn request(region: &str, question: &[(&str, &str)]) -> Result<GetProductsInputBuilder, CloudError> {
    let filters = LINUX
        .iter()
        .chain(question)
        .copied()
        .chain([("regionCode", region)])
        .map(|(field, value)| {
            Filter::builder()
                .r#type(FilterType::TermMatch)
                .field(field)
                .value(value)
                .build()
        })
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(GET_PRODUCTS.name, "InvalidFilter", error.to_string()))?;
    Ok(GetProductsInputBuilder::default()
        .service_code(SERVICE)
        .set_filters(Some(filters))
        .max_results(PAGE_SIZE))
}

/// One product of the price list; the many fields that say nothing about price are skipped.
#[derive(Deserialize)]
struct Product {
    product: ProductDescription,
    terms: Terms,
}

#[derive(Deserialize)]
struct ProductDescription {
    #[serde(rename = "productFamily", default)]
    family: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Terms {
    #[serde(rename = "OnDemand", default)]
    on_demand: BTreeMap<String, Term>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Term {
    price_dimensions: BTreeMap<String, PriceDimension>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceDimension {
    price_per_unit: BTreeMap<String, String>,
}

/// Type and price of one product; `None` for what was not asked for and for placeholders at zero.
fn read(product: &str, question: &[(&str, &str)]) -> Option<(InstanceTypeName, PricePerHour)> {
    let Product { product, terms } = serde_json::from_str(product).ok()?;
    let is_asked_for = LINUX.iter().chain(question).all(|(field, value)| match *field {
        "productFamily" => product.family == *value,
        field => product.attributes.get(field).is_none_or(|found| found == value),
    });
    let price = terms
        .on_demand
        .values()
        .flat_map(|term| term.price_dimensions.values())
        .filter_map(|dimension| PricePerHour::parse_usd(dimension.price_per_unit.get("USD")?))
        .find(|price| price.micro_usd() > 0)?;
    let name = product.attributes.get("instanceType")?;
    is_asked_for.then(|| (name.as_str().into(), price))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(family: &str, tenancy: &str, usd: &str) -> String {
        format!(
            r#"{{"product":{{"productFamily":"{family}","attributes":{{"instanceType":"m5.large","tenancy":"{tenancy}",
                "operatingSystem":"Linux","preInstalledSw":"NA","capacitystatus":"Used","regionCode":"us-east-1"}},"sku":"A"}},
                "serviceCode":"AmazonEC2","terms":{{"OnDemand":{{"A.B":{{"priceDimensions":{{"A.B.C":{{"unit":"Hrs",
                "pricePerUnit":{{"USD":"{usd}"}}}}}},"sku":"A","termAttributes":{{}}}}}}}}}}"#
        )
    }

    #[test]
    fn a_product_is_read_only_as_an_answer_to_its_question() {
        let shared = product("Compute Instance", "Shared", "0.0960000000");
        let rows = [
            (shared.clone(), SHARED, Some(96_000)),
            (shared, BARE_METAL, None),
            (
                product("Compute Instance (bare metal)", "Dedicated", "4.6080000000"),
                BARE_METAL,
                Some(4_608_000),
            ),
            (product("Compute Instance", "Dedicated", "0.1"), BARE_METAL, None),
            (
                product("Compute Instance", "Shared", "0.0000000000"),
                SHARED,
                None,
            ),
            ("no JSON".to_owned(), SHARED, None),
        ];
        for (product, question, expected) in rows {
            let price = read(&product, question).map(|(_, price)| price.micro_usd());
            assert_eq!(price, expected, "{product}");
        }
    }

    #[test]
    fn the_built_in_table_is_dated_and_whole() {
        let table = built_in_on_demand_prices();
        assert_eq!((&*table.region, &*table.as_of), ("us-east-1", "2026-07-20"));
        assert_eq!(table.prices.get("m5.large"), Some(&PricePerHour(96_000)));
        assert!(table.prices.len() > 1200);
        assert!(table.prices.values().all(|price| price.micro_usd() > 0));
    }
}
