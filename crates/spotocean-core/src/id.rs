//! Names and ids as types of their own, so that two strings cannot be swapped.
//!
//! All of them are shared strings: cloning one is a reference count, which is
//! what lets a snapshot of 20,000 pods share its names instead of copying them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Declares one newtype over a shared string.
macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Arc<str>);

        impl $name {
            /// The text of this name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name_type!(
    /// A Kubernetes object's `metadata.uid`.
    Uid
);
name_type!(
    /// A Kubernetes namespace.
    Namespace
);
name_type!(
    /// The name of a Kubernetes Node.
    NodeName
);
name_type!(
    /// The name of a `SpotOcean`.
    OceanName
);
name_type!(
    /// The name of a pool inside a `SpotOcean`.
    PoolName
);
name_type!(
    /// The name of an `OceanNode`.
    OceanNodeName
);
name_type!(
    /// The name of an `OceanLaunch`; also the value of the launch tag on every instance it bought.
    LaunchName
);
name_type!(
    /// An EC2 instance id, `i-…`.
    InstanceId
);
name_type!(
    /// An EC2 instance type's name, such as `m7g.large`.
    InstanceTypeName
);
name_type!(
    /// An availability zone's name in this account, such as `us-east-1a`; the value of `topology.kubernetes.io/zone`.
    Zone
);
name_type!(
    /// An availability zone's id, the same in every account, such as `use1-az6`.
    ZoneId
);
name_type!(
    /// An EC2 subnet id.
    SubnetId
);
name_type!(
    /// An EC2 security group id.
    SecurityGroupId
);
name_type!(
    /// An EC2 image (AMI) id.
    ImageId
);

/// A pool of one ocean: the pair that names a pool in the cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct PoolKey {
    /// The ocean's name.
    pub ocean: OceanName,
    /// The pool's name inside it.
    pub pool: PoolName,
}

impl fmt::Display for PoolKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ocean, self.pool)
    }
}

/// A namespaced object's address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The object's namespace.
    pub namespace: Namespace,
    /// The object's name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// The key of `namespace`/`name`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
