//! EC2, SQS, SSM, EKS, IAM and Pricing behind the ports of spotocean-core; alone in naming aws-sdk-*.
