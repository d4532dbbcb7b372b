//! The Price List Query API: GetProducts for AmazonEC2, each product a JSON document inside a string.

use serde_json::{Value, json};

use crate::catalogue::InstanceType;
use crate::operations::spot::dollars;
use crate::random;
use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::page::Paging;

/// Carries out a Pricing action.
pub fn pricing(world: &mut World, action: &str, body: &Value) -> Result<Value, ApiError> {
    match action {
        "GetProducts" => products(world, body),
        _ => Err(ApiError::client(
            "UnknownOperationException",
            format!("The operation {action} is unknown."),
        )),
    }
}

fn products(world: &World, body: &Value) -> Result<Value, ApiError> {
    let service = body["ServiceCode"]
        .as_str()
        .ok_or_else(|| ApiError::client("InvalidParameterException", "ServiceCode is required"))?;
    if service != "AmazonEC2" {
        return Ok(json!({"FormatVersion": "aws_v1", "PriceList": []}));
    }
    let filters = filters(body)?;
    let paging = Paging::new(body["MaxResults"].as_i64(), (1, 100), body["NextToken"].as_str())
        .map_err(|error| ApiError::client("InvalidParameterException", error.message))?
        .or_size(100);
    let keyed = world
        .catalogue
        .types
        .values()
        .filter(|found| !paging.is_past(&found.name))
        .filter_map(|found| Some((found, found.on_demand_micro_usd_per_hour()?)))
        .map(|(found, price)| (found.name.clone(), attributes(world, found), price))
        .filter(|(_, attributes, _)| {
            // EC2 products carry dozens of attributes; a filter on one that this simulator leaves out finds nothing.
            filters
                .iter()
                .all(|(field, value)| attributes[field.as_str()].as_str() == Some(value))
        })
        .map(|(name, attributes, price)| {
            (
                name,
                Value::String(product(world, &attributes, price).to_string()),
            )
        });
    let (page, next) = paging.page(keyed);
    Ok(match next {
        Some(token) => json!({"FormatVersion": "aws_v1", "PriceList": page, "NextToken": token}),
        None => json!({"FormatVersion": "aws_v1", "PriceList": page}),
    })
}

fn filters(body: &Value) -> Result<Vec<(String, String)>, ApiError> {
    body["Filters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|filter| {
            let text = |name: &str| filter[name].as_str().unwrap_or_default().to_owned();
            if text("Type") != "TERM_MATCH" {
                return Err(ApiError::client(
                    "InvalidParameterException",
                    "Filter type must be TERM_MATCH",
                ));
            }
            Ok((text("Field"), text("Value")))
        })
        .collect()
}

fn attributes(world: &World, found: &InstanceType) -> Value {
    let location = match world.options.region.as_str() {
        "us-east-1" => "US East (N. Virginia)",
        _ => "US West (Oregon)",
    };
    let family = if found.metal {
        "Compute Instance (bare metal)"
    } else {
        "Compute Instance"
    };
    json!({
        "servicecode": "AmazonEC2",
        "productFamily": family,
        "instanceType": found.name,
        "vcpu": found.vcpu.to_string(),
        "memory": format!("{} GiB", found.mem_mib as f64 / 1024.0),
        "location": location,
        "locationType": "AWS Region",
        "regionCode": world.options.region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "preInstalledSw": "NA",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "currentGeneration": if found.cur { "Yes" } else { "No" },
    })
}

fn product(world: &World, attributes: &Value, price_micro_usd_per_hour: u64) -> Value {
    let name = attributes["instanceType"].as_str().unwrap_or_default().to_owned();
    let sku = random::hex(world.options.seed, &["sku", &name], 16).to_uppercase();
    let (term, rate) = (
        format!("{sku}.JRTCKXETXF"),
        format!("{sku}.JRTCKXETXF.6YS6EN2CT7"),
    );
    let family = attributes["productFamily"].clone();
    let dimension = json!({
        "unit": "Hrs",
        "endRange": "Inf",
        "description": format!("${} per On Demand Linux {name} Instance Hour", dollars(price_micro_usd_per_hour)),
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": format!("{}0000", dollars(price_micro_usd_per_hour))},
    });
    json!({
        "product": {"productFamily": family, "attributes": attributes, "sku": sku},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {term: {
            "priceDimensions": {rate: dimension},
            "sku": sku,
            "effectiveDate": "2026-07-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        }}},
        "version": "20260720000000",
        "publicationDate": "2026-07-20T00:00:00Z",
    })
}
