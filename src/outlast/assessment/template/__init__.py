"""Templates of others (CloudFormation, CDK, Terraform) -> a draft of a blueprint, and a list of what was not read."""
