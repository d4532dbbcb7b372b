//! Reads every page of a listing. Knows nothing of what is listed.

use std::future::Future;

use spotocean_core::port::CloudError;

/// One page of a listing.
pub(crate) struct Page<T> {
    /// What is on it.
    pub(crate) items: Vec<T>,
    /// The token of the next page; EC2 also says "no more" with an empty one.
    pub(crate) next: Option<String>,
}

/// Asks for pages until there is no next one; one failed page fails the listing, because half a listing is no answer.
pub(crate) async fn every<T, F>(page: impl Fn(Option<String>) -> F) -> Result<Vec<T>, CloudError>
where
    F: Future<Output = Result<Page<T>, CloudError>>,
{
    let mut items = Vec::new();
    let mut token = None;
    loop {
        let answer = page(token).await?;
        items.extend(answer.items);
        token = answer.next.filter(|next| !next.is_empty());
        if token.is_none() {
            return Ok(items);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_page_is_read_and_an_empty_token_ends_it() {
        let listed = every(|token| async move {
            let (item, next) = match token.as_deref() {
                None => (1, Some("second")),
                Some("second") => (2, Some("third")),
                Some(_) => (3, Some("")),
            };
            Ok(Page {
                items: vec![item],
                next: next.map(str::to_owned),
            })
        });
        assert_eq!(listed.await, Ok(vec![1, 2, 3]));
    }
}
