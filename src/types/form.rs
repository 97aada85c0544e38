//! Parameters of a request (`application/x-www-form-urlencoded`), read as leniently as real clients need.

/// At most this many parameters; more is a flood.
const MAX_PARAMETERS: usize = 100;

/// Parameters that RFC 8707 §2 allows to repeat, against the general rule.
const REPEATABLE: &[&str] = &["resource", "audience"];

/// Parameters with a value, in order. `Debug` shows their names alone, because values are secrets.
#[derive(Clone, Default)]
pub struct Form(Vec<(String, String)>);

/// What is wrong with a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormError {
    /// Not a form.
    Unreadable,
    /// A parameter stands twice (RFC 6749 §3.2).
    Repeated(String),
    /// More parameters than any client sends.
    TooMany,
}

impl Form {
    /// Reads a body. Kafka and librdkafka send `scope` unencoded, so spaces, colons and slashes in clear are fine.
    ///
    /// # Errors
    /// See [`FormError`].
    pub fn parse(body: &[u8]) -> Result<Self, FormError> {
        let (form, repeated) = Self::parse_with_repeats(body)?;
        repeated.into_iter().next().map_or(Ok(form), |name| Err(FormError::Repeated(name)))
    }

    /// Reads parameters of which some stand twice, and names those: for an authorization request, which says so where
    /// it was told to send its answer.
    ///
    /// # Errors
    /// See [`FormError`].
    pub fn parse_with_repeats(text: &[u8]) -> Result<(Self, Vec<String>), FormError> {
        // Far more than that are not even taken apart: a body may have as many as it has bytes.
        if text.iter().filter(|byte| **byte == b'&').count() > 10 * MAX_PARAMETERS {
            return Err(FormError::TooMany);
        }
        let pairs: Vec<(String, String)> = serde_urlencoded::from_bytes(text).map_err(|_| FormError::Unreadable)?;
        if pairs.len() > MAX_PARAMETERS {
            return Err(FormError::TooMany);
        }
        let mut kept: Vec<(String, String)> = Vec::with_capacity(pairs.len());
        let mut repeated = Vec::new();
        for (name, value) in pairs {
            // RFC 6749 §3.2: a parameter without a value is treated as if it were left out.
            if value.is_empty() {
                continue;
            }
            if !REPEATABLE.contains(&name.as_str()) && kept.iter().any(|(seen, _)| *seen == name) {
                repeated.push(name);
                continue;
            }
            kept.push((name, value));
        }
        Ok((Self(kept), repeated))
    }

    /// The same parameters without some of them, as a query.
    pub fn query_without(&self, left_out: &[&str]) -> String {
        let kept: Vec<&(String, String)> =
            self.0.iter().filter(|(name, _)| !left_out.contains(&name.as_str())).collect();
        serde_urlencoded::to_string(kept).unwrap_or_default()
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that may repeat.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_s3_2_empty_is_absent_and_a_repeat_is_refused() {
        let form = Form::parse(b"scope=&a=1&scope=x").unwrap();
        assert_eq!((form.get("scope"), form.get("b")), (Some("x"), None));
        assert_eq!(Form::parse(b"a=1&a=1").unwrap_err(), FormError::Repeated("a".into()));
        let form = Form::parse(b"resource=a&resource=b").unwrap();
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn many_parameters_are_refused_and_very_many_are_not_taken_apart() {
        let many = |count: usize| (0..count).map(|at| format!("p{at}=1")).collect::<Vec<_>>().join("&");
        assert!(Form::parse(many(MAX_PARAMETERS).as_bytes()).is_ok());
        assert_eq!(Form::parse(many(MAX_PARAMETERS + 1).as_bytes()).unwrap_err(), FormError::TooMany);
        assert_eq!(Form::parse("&".repeat(60_000).as_bytes()).unwrap_err(), FormError::TooMany);
        assert!(Form::parse(format!("a=1{}", "&".repeat(100)).as_bytes()).is_ok(), "nothing between two of them");
    }

    #[test]
    fn librdkafka_sends_scope_unencoded() {
        let form = Form::parse(b"grant_type=client_credentials&scope=api://x/.default read").unwrap();
        assert_eq!(form.get("scope"), Some("api://x/.default read"));
    }

    #[test]
    fn debug_shows_no_value() {
        let form = Form::parse(b"client_secret=hunter2hunter2").unwrap();
        assert!(!format!("{form:?}").contains("hunter2"));
    }
}
