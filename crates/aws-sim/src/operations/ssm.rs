//! SSM parameters: the public ones that name images.

use serde_json::{Value, json};

use crate::random;
use crate::state::World;
use crate::wire::error::ApiError;
use crate::wire::page::Paging;

/// Carries out an SSM action.
pub fn ssm(world: &mut World, action: &str, body: &Value) -> Result<Value, ApiError> {
    match action {
        "GetParameter" => {
            let name = body["Name"]
                .as_str()
                .ok_or_else(|| validation("Name is required"))?;
            let value = world.parameters.get(name).ok_or_else(|| {
                ApiError::client("ParameterNotFound", format!("Parameter {name} not found."))
            })?;
            Ok(json!({"Parameter": described(world, name, value)}))
        }
        "GetParameters" => parameters(world, body),
        "GetParametersByPath" => by_path(world, body),
        _ => Err(ApiError::client(
            "UnknownOperationException",
            format!("The operation {action} is unknown."),
        )),
    }
}

fn validation(message: &str) -> ApiError {
    ApiError::client("ValidationException", message)
}

fn parameters(world: &World, body: &Value) -> Result<Value, ApiError> {
    let names: Vec<&str> = body["Names"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if names.is_empty() || names.len() > 10 {
        return Err(validation("Names must have between 1 and 10 members"));
    }
    let (found, missing): (Vec<&str>, Vec<&str>) = names
        .into_iter()
        .partition(|name| world.parameters.contains_key(*name));
    let found: Vec<Value> = found
        .into_iter()
        .map(|name| described(world, name, &world.parameters[name]))
        .collect();
    Ok(json!({"Parameters": found, "InvalidParameters": missing}))
}

fn by_path(world: &World, body: &Value) -> Result<Value, ApiError> {
    let path = body["Path"]
        .as_str()
        .ok_or_else(|| validation("Path is required"))?;
    let prefix = format!("{}/", path.trim_end_matches('/'));
    let recursive = body["Recursive"].as_bool().unwrap_or(false);
    let paging = Paging::new(body["MaxResults"].as_i64(), (1, 10), body["NextToken"].as_str())?.or_size(10);
    let keyed: Vec<_> = world
        .parameters
        .iter()
        .filter(|(name, _)| {
            name.strip_prefix(&prefix)
                .is_some_and(|rest| recursive || !rest.contains('/'))
        })
        .map(|(name, value)| (name.clone(), described(world, name, value)))
        .collect();
    let (page, next) = paging.page(keyed);
    Ok(match next {
        Some(token) => json!({"Parameters": page, "NextToken": token}),
        None => json!({"Parameters": page}),
    })
}

fn described(world: &World, name: &str, value: &str) -> Value {
    let region = &world.options.region;
    json!({
        "Name": name,
        "Type": "String",
        "Value": value,
        "Version": 1 + random::below(world.options.seed, &["version", name], 200),
        "LastModifiedDate": world.clock.timestamp(world.now()).as_second() - 86_400,
        "ARN": format!("arn:aws:ssm:{region}::parameter{name}"),
        "DataType": if name.ends_with("image_id") { "aws:ec2:image" } else { "text" },
    })
}
