// npm install aws-cdk-lib@2.276.0 constructs@10.8.1, then: node app.js (out/*.template.json, here without white space).
const cdk = require('aws-cdk-lib');
const { aws_ec2: ec2, aws_ecs: ecs, aws_ecs_patterns: patterns, aws_rds: rds, aws_sqs: sqs, aws_lambda: lambda, aws_dynamodb: ddb,
  aws_apigateway: apigw, aws_s3: s3, aws_s3_notifications: s3n, aws_sns: sns, aws_sns_subscriptions: subs, aws_events: events,
  aws_events_targets: targets, aws_lambda_event_sources: sources, aws_cloudwatch: cw, aws_cloudwatch_actions: cwa, aws_backup: backup,
  aws_elasticache: cache, aws_opensearchservice: os, aws_stepfunctions: sfn, aws_stepfunctions_tasks: tasks, aws_secretsmanager: sm,
  aws_iam: iam, Duration, RemovalPolicy, NestedStack } = cdk;
const env = { account: '111122223333', region: 'eu-central-1' };
const app = new cdk.App({ outdir: 'out', context: {'aws:cdk:enable-asset-metadata': true, 'aws:cdk:enable-path-metadata': true} });

class Network extends cdk.Stack {
  constructor(s, id, p) { super(s, id, p);
    this.vpc = new ec2.Vpc(this, 'Vpc', { maxAzs: 3, natGateways: 1 }); } }

class Shop extends cdk.Stack {
  constructor(s, id, p) { super(s, id, p);
    const cluster = new ecs.Cluster(this, 'Cluster', { vpc: p.vpc });
    const db = new rds.DatabaseCluster(this, 'Orders', { engine: rds.DatabaseClusterEngine.auroraPostgres({ version: rds.AuroraPostgresEngineVersion.VER_16_4 }),
      writer: rds.ClusterInstance.provisioned('writer'), readers: [rds.ClusterInstance.provisioned('reader')], vpc: p.vpc, backup: { retention: Duration.days(14) } });
    const jobs = new sqs.Queue(this, 'Jobs', { visibilityTimeout: Duration.seconds(60), deadLetterQueue: { maxReceiveCount: 5, queue: new sqs.Queue(this, 'Dead') } });
    const web = new patterns.ApplicationLoadBalancedFargateService(this, 'Web', { cluster, desiredCount: 3, minHealthyPercent: 100,
      taskImageOptions: { image: ecs.ContainerImage.fromRegistry('nginx'), environment: { JOBS: jobs.queueUrl, DB: db.clusterEndpoint.hostname } }, circuitBreaker: { rollback: true } });
    web.targetGroup.configureHealthCheck({ path: '/health' });
    db.connections.allowDefaultPortFrom(web.service); jobs.grantSendMessages(web.taskDefinition.taskRole);
    db.secret.grantRead(web.taskDefinition.taskRole);
    web.service.autoScaleTaskCount({ minCapacity: 3, maxCapacity: 9 }).scaleOnCpuUtilization('Cpu', { targetUtilizationPercent: 60 });
    const worker = new patterns.QueueProcessingFargateService(this, 'Worker', { cluster, queue: jobs, image: ecs.ContainerImage.fromRegistry('worker'), minScalingCapacity: 1, maxScalingCapacity: 4 });
    db.connections.allowDefaultPortFrom(worker.service);
    const page = new sns.Topic(this, 'Page');
    jobs.metricApproximateAgeOfOldestMessage().createAlarm(this, 'JobsOld', { threshold: 900, evaluationPeriods: 3 }).addAlarmAction(new cwa.SnsAction(page));
    new cw.Alarm(this, 'Errors', { metric: web.loadBalancer.metrics.httpCodeTarget(cdk.aws_elasticloadbalancingv2.HttpCodeTarget.TARGET_5XX_COUNT), threshold: 10, evaluationPeriods: 1 }).addAlarmAction(new cwa.SnsAction(page));
    const plan = backup.BackupPlan.daily35DayRetention(this, 'Plan'); plan.addSelection('All', { resources: [backup.BackupResource.fromRdsServerlessCluster ? backup.BackupResource.fromTag('backup', 'yes') : backup.BackupResource.fromTag('backup','yes')] });
    cdk.Tags.of(db).add('backup', 'yes');
  } }

class Serverless extends cdk.Stack {
  constructor(s, id, p) { super(s, id, p);
    const table = new ddb.TableV2(this, 'Carts', { partitionKey: { name: 'pk', type: ddb.AttributeType.STRING }, pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      replicas: [{ region: 'eu-west-1' }], deletionProtection: true,
      globalSecondaryIndexes: [{ indexName: 'by', partitionKey: { name: 'g', type: ddb.AttributeType.STRING } }, { indexName: 'by2', partitionKey: { name: 'g2', type: ddb.AttributeType.STRING } }] });
    const code = lambda.Code.fromInline('exports.handler = async () => {}'); const common = { runtime: lambda.Runtime.NODEJS_22_X, handler: 'index.handler', code };
    const files = new s3.Bucket(this, 'Files', { versioned: true, removalPolicy: RemovalPolicy.DESTROY, autoDeleteObjects: true });
    const api = new lambda.Function(this, 'Api', { ...common, timeout: Duration.seconds(10), environment: { TABLE: table.tableName, BUCKET: files.bucketName } });
    table.grantReadWriteData(api); files.grantReadWrite(api);
    new apigw.LambdaRestApi(this, 'Rest', { handler: api });
    const inbox = new sqs.Queue(this, 'Inbox', { fifo: true, visibilityTimeout: Duration.seconds(30) });
    const reader = new lambda.Function(this, 'Reader', { ...common, timeout: Duration.seconds(60), reservedConcurrentExecutions: 5 });
    reader.addEventSource(new sources.SqsEventSource(inbox, { batchSize: 5 })); table.grantWriteData(reader);
    reader.addToRolePolicy(new iam.PolicyStatement({ actions: ['bedrock:InvokeModel'], resources: ['arn:aws:bedrock:*::foundation-model/anthropic.claude-sonnet-4-5-20250929-v1:0', 'arn:aws:bedrock:eu-central-1:111122223333:inference-profile/eu.anthropic.claude-sonnet-4-5-20250929-v1:0'] }));
    const topic = new sns.Topic(this, 'Uploaded'); files.addEventNotification(s3.EventType.OBJECT_CREATED, new s3n.SnsDestination(topic));
    topic.addSubscription(new subs.LambdaSubscription(reader)); 
    const nightly = new lambda.Function(this, 'Nightly', { ...common });
    const flow = new sfn.StateMachine(this, 'Flow', { definitionBody: sfn.DefinitionBody.fromChainable(new tasks.LambdaInvoke(this, 'Step', { lambdaFunction: nightly }).next(new tasks.SqsSendMessage(this, 'Send', { queue: inbox, messageGroupId: 'a', messageBody: sfn.TaskInput.fromText('x') }))) });
    new events.Rule(this, 'Night', { schedule: events.Schedule.rate(Duration.hours(24)), targets: [new targets.SfnStateMachine(flow)] });
    const stream = new lambda.Function(this, 'Stream', { ...common });
  } }

class Inner extends NestedStack { constructor(s, id, p) { super(s, id, p); 
    this.redis = new cache.CfnReplicationGroup(this, 'Cache', { replicationGroupDescription: 'c', engine: 'valkey', cacheNodeType: 'cache.r7g.large', numNodeGroups: 2, replicasPerNodeGroup: 1, automaticFailoverEnabled: true, multiAzEnabled: true });
    this.topic = new sns.Topic(this, 'Told');
 } }
class Search extends cdk.Stack {
  constructor(s, id, p) { super(s, id, p);
    const inner = new Inner(this, 'Inner');
    const domain = new os.Domain(this, 'Index', { version: os.EngineVersion.OPENSEARCH_2_17, capacity: { dataNodes: 2, multiAzWithStandbyEnabled: false }, zoneAwareness: { enabled: true, availabilityZoneCount: 2 }, vpc: p.vpc, vpcSubnets: [{ subnets: p.vpc.privateSubnets.slice(0, 2) }] });
    const mysql = new rds.DatabaseInstance(this, 'Users', { engine: rds.DatabaseInstanceEngine.mysql({ version: rds.MysqlEngineVersion.VER_8_0_40 }), vpc: p.vpc, multiAz: true, removalPolicy: RemovalPolicy.DESTROY });
    const fn = new lambda.Function(this, 'Ask', { runtime: lambda.Runtime.PYTHON_3_12, handler: 'i.h', code: lambda.Code.fromInline('def h(e,c): pass'), vpc: p.vpc, environment: { REDIS: inner.redis.attrPrimaryEndPointAddress, INDEX: domain.domainEndpoint, DB: mysql.dbInstanceEndpointAddress } });
    domain.grantRead(fn); mysql.connections.allowDefaultPortFrom(fn); inner.topic.grantPublish(fn);
    const url = fn.addFunctionUrl({ authType: lambda.FunctionUrlAuthType.AWS_IAM });
    new cdk.CfnOutput(this, 'Url', { value: url.url });
  } }
const net = new Network(app, 'Net', { env });
new Shop(app, 'Shop', { env, vpc: net.vpc });
new Serverless(app, 'Serverless', { env });
new Search(app, 'Search', { env, vpc: net.vpc });
app.synth();
