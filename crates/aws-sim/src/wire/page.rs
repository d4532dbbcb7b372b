//! Paging as the Describe calls do it: a bounded page and a token that names the last key given out,
//! so that objects which come and go meanwhile shift nothing.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::wire::error::ApiError;

/// What the request asked for.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// Objects per page at most; all of them when unset.
    pub max_results: Option<usize>,
    /// The key after which to go on.
    after: Option<String>,
}

impl Paging {
    /// Checks the size against the action's limits and reads the token.
    pub fn new(
        max_results: Option<i64>,
        (least, most): (i64, i64),
        token: Option<&str>,
    ) -> Result<Paging, ApiError> {
        if let Some(found) = max_results.filter(|found| *found < least || *found > most) {
            return Err(ApiError::invalid_value(format!(
                "Value ( {found} ) for parameter maxResults is invalid. Expecting a value between {least} and {most}."
            )));
        }
        let after = token
            .map(|token| {
                URL_SAFE_NO_PAD
                    .decode(token)
                    .ok()
                    .and_then(|bytes| String::from_utf8(bytes).ok())
                    .ok_or_else(|| {
                        ApiError::client("InvalidNextToken", format!("The token '{token}' is invalid"))
                    })
            })
            .transpose()?;
        Ok(Paging {
            max_results: max_results.and_then(|found| usize::try_from(found).ok()),
            after,
        })
    }

    /// Uses `size` where the request named none.
    #[must_use]
    pub fn or_size(mut self, size: usize) -> Paging {
        self.max_results.get_or_insert(size);
        self
    }

    /// Whether the object of this key was on an earlier page. Long lists ask before they write out an object.
    pub fn is_past(&self, key: &str) -> bool {
        self.after.as_deref().is_some_and(|after| key <= after)
    }

    /// Cuts this request's page out of all objects, which must be sorted by key. Takes no more of them than it needs.
    pub fn page<T>(&self, keyed: impl IntoIterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
        let mut rest = keyed.into_iter().filter(|(key, _)| !self.is_past(key)).peekable();
        let mut page = Vec::new();
        let mut last = None;
        while page.len() < self.max_results.unwrap_or(usize::MAX) {
            let Some((key, object)) = rest.next() else { break };
            last = Some(key);
            page.push(object);
        }
        let next = rest.peek().and(last).map(|key| URL_SAFE_NO_PAD.encode(key));
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed() -> Vec<(String, u32)> {
        (1..=5).map(|number| (format!("k{number}"), number)).collect()
    }

    #[test]
    fn pages_follow_each_other_and_end() {
        let mut token: Option<String> = None;
        let mut pages = Vec::new();
        loop {
            let paging = Paging::new(Some(2), (1, 10), token.as_deref()).expect("valid");
            let (page, next) = paging.page(keyed());
            pages.push(page);
            match next {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
    }

    #[test]
    fn a_page_takes_one_object_more_than_it_gives_out() {
        let mut taken = 0;
        let paging = Paging::new(Some(2), (1, 10), None).expect("valid");
        let (page, _) = paging.page(keyed().into_iter().inspect(|_| taken += 1));
        assert_eq!((page, taken), (vec![1, 2], 3));
    }

    #[test]
    fn sizes_outside_the_limits_and_foreign_tokens_are_refused() {
        assert_eq!(
            Paging::new(Some(4), (5, 1000), None)
                .map(drop)
                .expect_err("too small")
                .code,
            "InvalidParameterValue"
        );
        assert_eq!(
            Paging::new(None, (5, 1000), Some("?"))
                .map(drop)
                .expect_err("bad token")
                .code,
            "InvalidNextToken"
        );
        assert_eq!(
            Paging::new(None, (5, 1000), None)
                .expect("valid")
                .page(keyed())
                .0
                .len(),
            5
        );
    }
}
