"""Types of resources as nouns: one word for what CloudFormation, SAM and Terraform each have a name for. Data only."""

from __future__ import annotations

_COMPONENTS = """
load_balancer   AWS::ElasticLoadBalancingV2::LoadBalancer AWS::ElasticLoadBalancing::LoadBalancer aws_lb aws_alb
                aws_elb
ecs_service     AWS::ECS::Service aws_ecs_service
function        AWS::Lambda::Function AWS::Serverless::Function aws_lambda_function
rest_api        AWS::ApiGateway::RestApi AWS::Serverless::Api aws_api_gateway_rest_api
http_api        AWS::ApiGatewayV2::Api AWS::Serverless::HttpApi aws_apigatewayv2_api
graph_api       AWS::AppSync::GraphQLApi AWS::Serverless::GraphQLApi aws_appsync_graphql_api
queue           AWS::SQS::Queue aws_sqs_queue
topic           AWS::SNS::Topic aws_sns_topic
event_bus       AWS::Events::EventBus aws_cloudwatch_event_bus
state_machine   AWS::StepFunctions::StateMachine AWS::Serverless::StateMachine aws_sfn_state_machine
table           AWS::DynamoDB::Table AWS::DynamoDB::GlobalTable AWS::Serverless::SimpleTable aws_dynamodb_table
db_instance     AWS::RDS::DBInstance aws_db_instance
db_cluster      AWS::RDS::DBCluster aws_rds_cluster
document_db     AWS::DocDB::DBCluster aws_docdb_cluster
graph_db        AWS::Neptune::DBCluster aws_neptune_cluster
warehouse       AWS::Redshift::Cluster aws_redshift_cluster AWS::RedshiftServerless::Workgroup
                aws_redshiftserverless_workgroup
time_series     AWS::Timestream::Table aws_timestreamwrite_table
cache_group     AWS::ElastiCache::ReplicationGroup aws_elasticache_replication_group
cache_cluster   AWS::ElastiCache::CacheCluster aws_elasticache_cluster
cache_serverless AWS::ElastiCache::ServerlessCache aws_elasticache_serverless_cache
memory_db       AWS::MemoryDB::Cluster aws_memorydb_cluster
search          AWS::OpenSearchService::Domain AWS::Elasticsearch::Domain aws_opensearch_domain
                aws_elasticsearch_domain
search_serverless AWS::OpenSearchServerless::Collection aws_opensearchserverless_collection
bucket          AWS::S3::Bucket aws_s3_bucket
vector_bucket   AWS::S3Vectors::VectorBucket aws_s3vectors_vector_bucket
file_system     AWS::EFS::FileSystem aws_efs_file_system AWS::FSx::FileSystem
disk            AWS::EC2::Volume aws_ebs_volume
stream          AWS::Kinesis::Stream aws_kinesis_stream
delivery        AWS::KinesisFirehose::DeliveryStream aws_kinesis_firehose_delivery_stream
kafka           AWS::MSK::Cluster AWS::MSK::ServerlessCluster aws_msk_cluster aws_msk_serverless_cluster
broker          AWS::AmazonMQ::Broker aws_mq_broker
eks_cluster     AWS::EKS::Cluster aws_eks_cluster
eks_nodes       AWS::EKS::Nodegroup aws_eks_node_group
eks_fargate     AWS::EKS::FargateProfile aws_eks_fargate_profile
deployment      kubernetes_deployment kubernetes_deployment_v1 kubernetes_stateful_set kubernetes_stateful_set_v1
machine         AWS::EC2::Instance aws_instance
machine_group   AWS::AutoScaling::AutoScalingGroup aws_autoscaling_group
app_runner      AWS::AppRunner::Service aws_apprunner_service
batch           AWS::Batch::ComputeEnvironment aws_batch_compute_environment
inference       AWS::SageMaker::Endpoint aws_sagemaker_endpoint
bedrock_agent   AWS::Bedrock::Agent aws_bedrockagent_agent
bedrock_flow    AWS::Bedrock::Flow aws_bedrockagent_flow
agent_runtime   AWS::BedrockAgentCore::Runtime aws_bedrockagentcore_agent_runtime
knowledge_base  AWS::Bedrock::KnowledgeBase aws_bedrockagent_knowledge_base
cdn             AWS::CloudFront::Distribution aws_cloudfront_distribution
accelerator     AWS::GlobalAccelerator::Accelerator aws_globalaccelerator_accelerator
nat             AWS::EC2::NatGateway aws_nat_gateway
user_pool       AWS::Cognito::UserPool aws_cognito_user_pool
secret          AWS::SecretsManager::Secret aws_secretsmanager_secret
key             AWS::KMS::Key aws_kms_key AWS::KMS::ReplicaKey
schedule        AWS::Scheduler::Schedule aws_scheduler_schedule
"""
"""What becomes a component."""

_PARTS = """
listener        AWS::ElasticLoadBalancingV2::Listener aws_lb_listener aws_alb_listener
listener_rule   AWS::ElasticLoadBalancingV2::ListenerRule aws_lb_listener_rule aws_alb_listener_rule
target_group    AWS::ElasticLoadBalancingV2::TargetGroup aws_lb_target_group aws_alb_target_group
target          aws_lb_target_group_attachment aws_alb_target_group_attachment aws_autoscaling_attachment
task_definition AWS::ECS::TaskDefinition aws_ecs_task_definition
ecs_cluster     AWS::ECS::Cluster aws_ecs_cluster
event_source    AWS::Lambda::EventSourceMapping aws_lambda_event_source_mapping
function_alias  AWS::Lambda::Alias AWS::Lambda::Version aws_lambda_alias
function_url    AWS::Lambda::Url aws_lambda_function_url
function_limit  aws_lambda_provisioned_concurrency_config
event_invoke    AWS::Lambda::EventInvokeConfig aws_lambda_function_event_invoke_config
permission      AWS::Lambda::Permission aws_lambda_permission
api_method      AWS::ApiGateway::Method AWS::ApiGateway::Authorizer aws_api_gateway_integration
                aws_api_gateway_authorizer
api_integration AWS::ApiGatewayV2::Integration AWS::ApiGatewayV2::Authorizer aws_apigatewayv2_integration
                aws_apigatewayv2_authorizer
api_source      AWS::AppSync::DataSource aws_appsync_datasource
subscription    AWS::SNS::Subscription aws_sns_topic_subscription
rule            AWS::Events::Rule aws_cloudwatch_event_rule
rule_target     aws_cloudwatch_event_target
redrive         aws_sqs_queue_redrive_policy
notification    Custom::S3BucketNotifications aws_s3_bucket_notification
bucket_versions aws_s3_bucket_versioning
bucket_life     aws_s3_bucket_lifecycle_configuration
bucket_copies   aws_s3_bucket_replication_configuration
bucket_lock     aws_s3_bucket_object_lock_configuration
bucket_logs     aws_s3_bucket_logging
db_member       aws_rds_cluster_instance
db_global       AWS::RDS::GlobalCluster aws_rds_global_cluster
document_member AWS::DocDB::DBInstance aws_docdb_cluster_instance
graph_member    AWS::Neptune::DBInstance aws_neptune_cluster_instance
db_proxy        AWS::RDS::DBProxy aws_db_proxy
db_proxy_target AWS::RDS::DBProxyTargetGroup aws_db_proxy_target
db_subnets      AWS::RDS::DBSubnetGroup AWS::ElastiCache::SubnetGroup AWS::DocDB::DBSubnetGroup
                AWS::Neptune::DBSubnetGroup AWS::MemoryDB::SubnetGroup aws_db_subnet_group
                aws_elasticache_subnet_group aws_docdb_subnet_group aws_neptune_subnet_group aws_memorydb_subnet_group
table_replica   aws_dynamodb_table_replica
file_backup     aws_efs_backup_policy
mount_target    AWS::EFS::MountTarget aws_efs_mount_target
access_point    AWS::EFS::AccessPoint aws_efs_access_point
launch_template AWS::EC2::LaunchTemplate AWS::AutoScaling::LaunchConfiguration aws_launch_template
                aws_launch_configuration
instance_profile AWS::IAM::InstanceProfile aws_iam_instance_profile
scaling_target  AWS::ApplicationAutoScaling::ScalableTarget aws_appautoscaling_target
inference_config AWS::SageMaker::EndpointConfig aws_sagemaker_endpoint_configuration
inference_model AWS::SageMaker::Model aws_sagemaker_model
inference_profile AWS::Bedrock::ApplicationInferenceProfile aws_bedrock_inference_profile
agent_alias     AWS::Bedrock::AgentAlias aws_bedrockagent_agent_alias
action_group    aws_bedrockagent_agent_action_group
agent_knowledge aws_bedrockagent_agent_knowledge_base_association
knowledge_source AWS::Bedrock::DataSource aws_bedrockagent_data_source
dns_record      AWS::Route53::RecordSet aws_route53_record
dns_records     AWS::Route53::RecordSetGroup
health_check    AWS::Route53::HealthCheck aws_route53_health_check
alarm           AWS::CloudWatch::Alarm aws_cloudwatch_metric_alarm
composite_alarm AWS::CloudWatch::CompositeAlarm aws_cloudwatch_composite_alarm
backup_plan     AWS::Backup::BackupPlan aws_backup_plan
backup_choice   AWS::Backup::BackupSelection aws_backup_selection
backup_vault    AWS::Backup::BackupVault AWS::Backup::LogicallyAirGappedBackupVault aws_backup_vault
backup_lock     aws_backup_vault_lock_configuration
key_alias       AWS::KMS::Alias aws_kms_alias
secret_part     AWS::SecretsManager::RotationSchedule AWS::SecretsManager::SecretTargetAttachment
                aws_secretsmanager_secret_version aws_secretsmanager_secret_rotation
user_client     AWS::Cognito::UserPoolClient AWS::Cognito::UserPoolDomain AWS::Cognito::UserPoolGroup
                aws_cognito_user_pool_client aws_cognito_user_pool_domain
role            AWS::IAM::Role aws_iam_role
policy          AWS::IAM::Policy AWS::IAM::ManagedPolicy AWS::IAM::RolePolicy aws_iam_role_policy aws_iam_policy
policy_use      aws_iam_role_policy_attachment aws_iam_policy_attachment
policy_text     aws_iam_policy_document
subnet          AWS::EC2::Subnet aws_subnet
route           AWS::EC2::Route aws_route
route_table     AWS::EC2::RouteTable aws_route_table
route_use       AWS::EC2::SubnetRouteTableAssociation aws_route_table_association
security_group  AWS::EC2::SecurityGroup aws_security_group
security_rule   AWS::EC2::SecurityGroupIngress aws_security_group_rule aws_vpc_security_group_ingress_rule
vpc_endpoint    AWS::EC2::VPCEndpoint aws_vpc_endpoint
disk_use        AWS::EC2::VolumeAttachment aws_volume_attachment
firewall_use    AWS::WAFv2::WebACLAssociation aws_wafv2_web_acl_association
stream_consumer AWS::Kinesis::StreamConsumer aws_kinesis_stream_consumer
batch_queue     AWS::Batch::JobQueue aws_batch_job_queue
accelerator_listener AWS::GlobalAccelerator::Listener AWS::GlobalAccelerator::EndpointGroup
                aws_globalaccelerator_listener aws_globalaccelerator_endpoint_group
"""
"""What says something about a component, or leads from one to another."""

_QUIET = """
AWS::EC2::VPC AWS::EC2::VPCGatewayAttachment AWS::EC2::InternetGateway AWS::EC2::EIP AWS::EC2::EIPAssociation
AWS::EC2::SecurityGroupEgress AWS::EC2::FlowLog AWS::EC2::NetworkAcl AWS::EC2::NetworkAclEntry AWS::EC2::DHCPOptions
AWS::EC2::SubnetNetworkAclAssociation AWS::EC2::KeyPair AWS::EC2::PrefixList AWS::EC2::VPCCidrBlock
AWS::EC2::VPCDHCPOptionsAssociation AWS::EC2::EgressOnlyInternetGateway AWS::IAM::ServiceLinkedRole AWS::IAM::User
AWS::IAM::Group AWS::IAM::OIDCProvider AWS::IAM::AccessKey AWS::Logs::LogGroup AWS::Logs::LogStream
AWS::Logs::MetricFilter AWS::Logs::SubscriptionFilter AWS::Logs::ResourcePolicy AWS::CloudWatch::Dashboard
AWS::CloudWatch::AnomalyDetector AWS::CloudTrail::Trail AWS::XRay::Group AWS::XRay::SamplingRule
AWS::ApiGateway::Deployment AWS::ApiGateway::Stage AWS::ApiGateway::Resource AWS::ApiGateway::Account
AWS::ApiGateway::UsagePlan AWS::ApiGateway::UsagePlanKey AWS::ApiGateway::ApiKey AWS::ApiGateway::Model
AWS::ApiGateway::RequestValidator AWS::ApiGateway::GatewayResponse AWS::ApiGateway::BasePathMapping
AWS::ApiGateway::DomainName AWS::ApiGatewayV2::Stage AWS::ApiGatewayV2::Route AWS::ApiGatewayV2::Deployment
AWS::ApiGatewayV2::DomainName AWS::ApiGatewayV2::ApiMapping AWS::ApiGatewayV2::VpcLink AWS::AppSync::GraphQLSchema
AWS::AppSync::Resolver AWS::AppSync::ApiKey AWS::S3::BucketPolicy AWS::S3::AccessPoint AWS::SQS::QueuePolicy
AWS::SNS::TopicPolicy AWS::Events::EventBusPolicy AWS::Events::Archive AWS::CertificateManager::Certificate
AWS::Route53::HostedZone AWS::CloudFront::CloudFrontOriginAccessIdentity AWS::CloudFront::OriginAccessControl
AWS::CloudFront::CachePolicy AWS::CloudFront::ResponseHeadersPolicy AWS::CloudFront::OriginRequestPolicy
AWS::CloudFront::Function AWS::RDS::DBParameterGroup AWS::RDS::DBClusterParameterGroup AWS::RDS::OptionGroup
AWS::ElastiCache::ParameterGroup AWS::DocDB::DBClusterParameterGroup AWS::Neptune::DBClusterParameterGroup
AWS::MemoryDB::ParameterGroup AWS::MemoryDB::ACL AWS::ECR::Repository AWS::Lambda::LayerVersion
AWS::Lambda::LayerVersionPermission AWS::SSM::Parameter AWS::CodeDeploy::Application
AWS::ECS::ClusterCapacityProviderAssociations AWS::ECS::CapacityProvider AWS::ServiceDiscovery::PrivateDnsNamespace
AWS::ServiceDiscovery::Service AWS::ApplicationAutoScaling::ScalingPolicy AWS::AutoScaling::ScalingPolicy
AWS::AutoScaling::LifecycleHook AWS::EKS::Addon AWS::EKS::AccessEntry AWS::EKS::PodIdentityAssociation
AWS::OpenSearchServerless::AccessPolicy AWS::OpenSearchServerless::SecurityPolicy AWS::Bedrock::Guardrail
AWS::Bedrock::GuardrailVersion AWS::Bedrock::Prompt AWS::WAFv2::WebACL AWS::WAFv2::IPSet
AWS::WAFv2::LoggingConfiguration AWS::Scheduler::ScheduleGroup AWS::Timestream::Database
AWS::ElasticLoadBalancingV2::ListenerCertificate AWS::RedshiftServerless::Namespace AWS::SNS::TopicInlinePolicy
AWS::S3Vectors::Index AWS::Cognito::IdentityPool AWS::Cognito::IdentityPoolRoleAttachment
AWS::SQS::QueueInlinePolicy AWS::SageMaker::NotebookInstance aws_vpc aws_internet_gateway aws_eip aws_network_acl
aws_flow_log aws_default_security_group aws_vpc_security_group_egress_rule aws_default_route_table
aws_default_network_acl aws_main_route_table_association aws_key_pair aws_network_interface aws_iam_user
aws_iam_group aws_iam_openid_connect_provider aws_iam_service_linked_role aws_cloudwatch_log_group
aws_cloudwatch_log_stream aws_cloudwatch_log_metric_filter aws_cloudwatch_dashboard aws_cloudtrail
aws_cloudwatch_log_resource_policy aws_cloudwatch_log_subscription_filter aws_cloudwatch_event_permission
aws_api_gateway_deployment aws_api_gateway_stage aws_api_gateway_resource aws_api_gateway_method
aws_api_gateway_account aws_api_gateway_method_response aws_api_gateway_integration_response
aws_api_gateway_method_settings aws_api_gateway_domain_name aws_api_gateway_usage_plan aws_api_gateway_api_key
aws_api_gateway_base_path_mapping aws_apigatewayv2_stage aws_apigatewayv2_route aws_apigatewayv2_domain_name
aws_apigatewayv2_api_mapping aws_apigatewayv2_vpc_link aws_appsync_resolver aws_appsync_api_key aws_s3_bucket_policy
aws_s3_bucket_public_access_block aws_s3_bucket_ownership_controls aws_s3_bucket_acl aws_s3_object
aws_s3_bucket_server_side_encryption_configuration aws_s3_bucket_cors_configuration
aws_s3_bucket_website_configuration aws_sqs_queue_policy aws_sns_topic_policy aws_acm_certificate
aws_acm_certificate_validation aws_route53_zone aws_sqs_queue_redrive_allow_policy
aws_cloudfront_origin_access_control aws_cloudfront_origin_access_identity aws_cloudfront_cache_policy
aws_cloudfront_function aws_cloudfront_response_headers_policy aws_cloudfront_origin_request_policy
aws_db_parameter_group aws_rds_cluster_parameter_group aws_db_option_group aws_elasticache_parameter_group
aws_ecr_repository aws_ecr_lifecycle_policy aws_lambda_layer_version aws_ssm_parameter aws_ecs_capacity_provider
aws_ecs_cluster_capacity_providers aws_service_discovery_private_dns_namespace aws_service_discovery_service
aws_appautoscaling_policy aws_autoscaling_policy aws_autoscaling_lifecycle_hook aws_eks_addon aws_eks_access_entry
aws_eks_access_policy_association aws_eks_pod_identity_association aws_opensearchserverless_access_policy
aws_opensearchserverless_security_policy aws_bedrock_guardrail aws_wafv2_web_acl aws_wafv2_ip_set
aws_wafv2_web_acl_logging_configuration aws_lb_listener_certificate aws_kms_key_policy aws_kms_grant
aws_efs_file_system_policy aws_scheduler_schedule_group aws_caller_identity aws_region aws_availability_zones
aws_partition aws_ami aws_ssm_parameters_by_path aws_ecr_image aws_vpcs aws_elasticsearch_domain_policy
aws_opensearch_domain_policy aws_cognito_identity_pool aws_default_vpc aws_iam_instance_profiles aws_default_subnet
aws_ec2_managed_prefix_list aws_eks_cluster_auth aws_prefix_list kubernetes_namespace kubernetes_service
kubernetes_service_v1 kubernetes_config_map kubernetes_secret kubernetes_service_account kubernetes_ingress
kubernetes_ingress_v1 kubernetes_horizontal_pod_autoscaler_v2 kubernetes_pod_disruption_budget_v1
kubernetes_namespace_v1 kubernetes_config_map_v1 kubernetes_secret_v1 kubernetes_service_account_v1 random_id
random_pet random_string random_password random_uuid null_resource terraform_data archive_file time_sleep
time_static local_file tls_private_key tls_certificate
"""
"""What is known, and says nothing about what fails when: names, rights, logs, keys of doors."""


def _nouns(table: str) -> dict[str, str]:
    """By type; a line that begins with a space goes on with the noun above."""
    found: dict[str, str] = {}
    noun = ""
    for line in table.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            noun = words.pop(0)
        found |= dict.fromkeys(words, noun)
    return found


component_nouns: frozenset[str] = frozenset(_nouns(_COMPONENTS).values())
part_nouns: frozenset[str] = frozenset(_nouns(_PARTS).values())
quiet_types: frozenset[str] = frozenset(_QUIET.split())
_BY_TYPE = _nouns(_COMPONENTS) | _nouns(_PARTS)


def noun_of(kind: str) -> str:
    """The noun of a type; ``quiet`` for what says nothing here, empty for what nobody knows."""
    return _BY_TYPE.get(kind) or ("quiet" if kind in quiet_types else "")
