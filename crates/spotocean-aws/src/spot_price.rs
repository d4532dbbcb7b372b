//! The effective Linux spot price per market.
//!
//! Asked from now on, DescribeSpotPriceHistory returns the last change before
//! now per type, zone and product, which is the price in effect.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_ec2::operation::describe_spot_price_history::builders::DescribeSpotPriceHistoryInputBuilder;
use aws_sdk_ec2::types::SpotPrice;
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use spotocean_core::money::PricePerHour;
use spotocean_core::offering::Market;
use spotocean_core::port::CloudError;

use crate::client::AwsCloud;
use crate::page::{self, Page};
use crate::throttle::Action;
use crate::timestamp;

const DESCRIBE: Action = Action::read("DescribeSpotPriceHistory");
/// EC2's largest page of prices.
const PAGE_SIZE: i32 = 1000;
/// Linux inside a VPC; which of the two words EC2 uses depends on the account's age.
const PRODUCTS: [&str; 2] = ["Linux/UNIX", "Linux/UNIX (Amazon VPC)"];

/// Effective Linux spot price per market.
pub(crate) async fn current(cloud: &AwsCloud) -> Result<BTreeMap<Market, PricePerHour>, CloudError> {
    let request = DescribeSpotPriceHistoryInputBuilder::default()
        .start_time(DateTime::from(SystemTime::now()))
        .set_product_descriptions(Some(PRODUCTS.map(str::to_owned).into()))
        .max_results(PAGE_SIZE);
    let request = &request;
    let prices = page::every(|token| async move {
        let request = request.clone().set_next_token(token);
        let answer = cloud.call(DESCRIBE, request.send_with(&cloud.ec2)).await?;
        Ok(Page {
            items: answer.spot_price_history.unwrap_or_default(),
            next: answer.next_token,
        })
    });
    Ok(last_per_market(&prices.await?))
}

/// The youngest price per market; of two equally young ones the one seen last.
fn last_per_market(prices: &[SpotPrice]) -> BTreeMap<Market, PricePerHour> {
    let mut last: BTreeMap<Market, (Timestamp, PricePerHour)> = BTreeMap::new();
    for (market, time, price) in prices.iter().filter_map(read) {
        if last.get(&market).is_none_or(|(known, _)| *known <= time) {
            last.insert(market, (time, price));
        }
    }
    last.into_iter()
        .map(|(market, (_, price))| (market, price))
        .collect()
}

fn read(price: &SpotPrice) -> Option<(Market, Timestamp, PricePerHour)> {
    let product = price.product_description()?.as_str();
    if !PRODUCTS.contains(&product) {
        return None;
    }
    let market = Market {
        instance_type: price.instance_type()?.as_str().into(),
        zone: price.availability_zone()?.into(),
    };
    let time = timestamp::read(price.timestamp()?)?;
    Some((market, time, PricePerHour::parse_usd(price.spot_price()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(zone: &str, product: &str, seconds: i64, usd: &str) -> SpotPrice {
        SpotPrice::builder()
            .instance_type("m5.large".into())
            .availability_zone(zone)
            .product_description(product.into())
            .timestamp(DateTime::from_secs(seconds))
            .spot_price(usd)
            .build()
    }

    #[test]
    fn the_youngest_linux_price_per_market_counts() {
        let prices = last_per_market(&[
            price("us-east-1a", "Linux/UNIX", 200, "0.040000"),
            price("us-east-1a", "Linux/UNIX", 100, "0.050000"),
            price("us-east-1a", "Windows", 300, "0.200000"),
            price("us-east-1b", "Linux/UNIX", 100, "0.030000"),
            price("us-east-1b", "Linux/UNIX (Amazon VPC)", 100, "0.030100"),
            price("us-east-1c", "Linux/UNIX", 100, "no number"),
        ]);
        let read: Vec<_> = prices
            .iter()
            .map(|(market, price)| (market.zone.as_str(), price.micro_usd()))
            .collect();
        assert_eq!(read, [("us-east-1a", 40_000), ("us-east-1b", 30_100)]);
    }
}
