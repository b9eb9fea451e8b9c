"""What SAM's own translator makes of template.yaml, method by method, statement by statement."""

import json
import re
from pathlib import Path

from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

SOURCE = Path("template.yaml").read_text()
README = Path("README.md").read_text()


class Policies:
    """SAM asks IAM for the managed policies by name; none is named here."""

    def load(self):
        return {}


def translated(**parameters):
    # Code is uploaded before SAM's service sees a template.
    return transform(yaml_parse(re.sub(r"CodeUri: .*", "CodeUri: s3://bucket/key", SOURCE)), parameters, Policies())["Resources"]


RESOURCES = translated()


def of_type(kind):
    return {name: resource["Properties"] for name, resource in RESOURCES.items() if resource["Type"] == kind}


def methods(api):
    for path, item in RESOURCES[api]["Properties"]["Body"]["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def every_method_streams_for_as_long_as_lambda_goes():
    for api in of_type("AWS::ApiGateway::RestApi"):
        for method, path, operation in methods(api):
            integration, where = operation["x-amazon-apigateway-integration"], f"{api} {method} {path}"
            assert integration["type"] == "aws_proxy", where
            assert integration["uri"]["Fn::Sub"].endswith("/response-streaming-invocations"), where
            assert (integration["responseTransferMode"], integration["timeoutInMillis"]) == ("STREAM", 900_000), where
            # Else API Gateway would call the function with the caller's own permissions.
            assert "credentials" not in integration, where


def every_method_but_health_has_an_authorizer():
    wanted = {"Api": [{"AWS_IAM": []}], "KeysApi": [{"Keys": []}, {"api_key": []}]}
    for api, security in wanted.items():
        for method, path, operation in methods(api):
            given = operation["security"]
            if path == "/health" or method == "options":
                assert given in ([], [{"NONE": []}]), f"{api} {method} {path}: {given}"
            else:
                assert given == security, f"{api} {method} {path}: {given}"
    body = RESOURCES["KeysApi"]["Properties"]["Body"]
    authorizer = body["components"]["securitySchemes"]["Keys"]["x-amazon-apigateway-authorizer"]
    assert authorizer["type"] == "request" and authorizer["authorizerResultTtlInSeconds"] == 0
    assert "identitySource" not in authorizer, "or every caller would have to send both headers"
    assert RESOURCES["KeysApi"]["Properties"]["ApiKeySourceType"] == "AUTHORIZER"
    assert not of_type("AWS::Lambda::Url"), "no function has a URL of its own"
    stages = {properties["StageName"]["Ref"] for properties in of_type("AWS::ApiGateway::Stage").values()}
    assert stages == {"StageName"}, stages
    # Older SAM made a stage of its own beside ours, that nothing guards.
    assert not any("StageName" in properties for properties in of_type("AWS::ApiGateway::Deployment").values())


def every_route_of_the_code_is_there_and_no_other():
    document = json.loads(Path("functions/router/openapi.json").read_text())
    served = {(method, path) for path, item in document["paths"].items() for method in item if method in ("get", "post")}
    served = {(method, re.sub(r"^/model/.*", "/model/{proxy+}", path)) for method, path in served}
    there = {(method, path.replace("{id+}", "{id}")) for method, path, _ in methods("Api") if method != "options"}
    assert there == served, there ^ served


def statements():
    """Every statement of every role and policy, with the name of its policy; both sides of a condition."""
    def unfold(statement):
        if "Fn::If" in statement:
            return [inner for side in statement["Fn::If"][1:] if "Effect" in side for inner in unfold(side)]
        return [statement]
    documents = {name: properties["PolicyDocument"] for name, properties in of_type("AWS::IAM::ManagedPolicy").items()}
    for name, properties in of_type("AWS::IAM::Role").items():
        for policy in properties.get("Policies", []):
            documents[f"{name}/{policy['PolicyName']}"] = policy["PolicyDocument"]
    for name, document in documents.items():
        for statement in document["Statement"]:
            for inner in unfold(statement):
                yield name, inner


def texts(value):
    """Every text in a value, with intrinsic functions as what they come to at the longest."""
    if isinstance(value, dict) and "Fn::Sub" in value:
        text = value["Fn::Sub"]
        for name, length in {"AWS::Partition": 10, "AWS::Region": 14, "AWS::AccountId": 12}.items():
            text = text.replace("${" + name + "}", "x" * length)
        return text
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Fn::GetAtt", "Ref"):
        return "x" * 100
    if isinstance(value, dict):
        return {key: texts(inner) for key, inner in value.items()}
    return [texts(inner) for inner in value] if isinstance(value, list) else value


def nothing_is_allowed_that_is_not_named():
    # CloudWatch and X-Ray know no resources for these.
    unnamed = {"cloudwatch:GetMetricData", "cloudwatch:ListMetrics", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    for name, statement in statements():
        if statement["Effect"] == "Deny":
            continue
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        assert all("*" not in action for action in actions), f"{name}: {actions}"
        for resource in resources:
            text = texts(resource)
            if text == "*":
                assert set(actions) <= unnamed, f"{name}: {actions} on everything"
            assert not re.search(r"(foundation-model|inference-profile)/\*$", text), f"{name}: {text}"


def every_policy_is_as_small_as_iam_wants_it():
    def size(document):
        return len(json.dumps(texts(document), separators=(",", ":")))
    for name, properties in of_type("AWS::IAM::ManagedPolicy").items():
        assert size(properties["PolicyDocument"]) <= 6_144, f"{name}: {size(properties['PolicyDocument'])}"
        print(f"  {name}: {size(properties['PolicyDocument'])} of 6,144 characters")
    for name, properties in of_type("AWS::IAM::Role").items():
        inline = sum(size(policy["PolicyDocument"]) for policy in properties.get("Policies", []))
        assert inline <= 10_240, f"{name}: {inline}"


def every_variable_is_read_and_documented():
    table = set(re.findall(r"`([A-Z_]+)`", README))
    sources = [path for folder in ("shared/src", "functions") for path in Path(folder).rglob("*.rs")]
    read = set(re.findall(r'"([A-Z_]+)"', "".join(path.read_text() for path in sources)))
    for name, properties in of_type("AWS::Lambda::Function").items():
        variables = set(properties.get("Environment", {}).get("Variables", {}))
        assert variables <= table & read, f"{name}: {variables - (table & read)}"


def a_change_of_settings_reaches_the_callers():
    """They meet an alias; a new version of the settings must make a new version of the functions."""
    content = RESOURCES["Settings"]["Properties"]["Content"]["Fn::Sub"]
    recorded = dict(line.split("=") for line in content.splitlines())
    versions = of_type("AWS::Lambda::Version").values()
    for function in ("RouterFunction", "EmbeddingsFunction"):
        variables = RESOURCES[function]["Properties"]["Environment"]["Variables"]
        assert {name: "${" + value["Ref"] + "}" for name, value in variables.items()} == recorded, function
        version, = (version for version in versions if version["FunctionName"] == {"Ref": function})
        assert version["Description"] == {"Fn::Sub": "Settings ${Settings.VersionNumber}"}
    # What CloudFormation cannot change in place it makes anew.
    for kind, name in (("AWS::Lambda::Version", "Description"), ("AWS::AppConfig::HostedConfigurationVersion", "Content")):
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
        assert f"/properties/{name}" in schema["createOnlyProperties"], kind
    for api in of_type("AWS::ApiGateway::RestApi"):
        for method, path, operation in methods(api):
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            assert "FunctionAliaslive}" in uri, f"{api} {method} {path}: {uri}"


def a_gradual_deployment_goes_back_on_alarm():
    for deployment, group in ((kind, group) for kind in ("AllAtOnce", "Canary10Percent5Minutes") for group in groups(kind)):
        name = group["DeploymentConfigName"]["Fn::Sub"][1]["ConfigName"]
        assert name == deployment, name
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        condition, gradual, at_once = group["AlarmConfiguration"]["Fn::If"]
        assert (condition, len(gradual["Alarms"]), at_once) == ("IsGradual", 2, {}), group


def groups(deployment):
    return [r["Properties"] for r in translated(Deployment=deployment).values() if r["Type"] == "AWS::CodeDeploy::DeploymentGroup"]


def sites_see_what_api_gateway_refuses():
    for api in of_type("AWS::ApiGateway::RestApi"):
        for kind, response in RESOURCES[api]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"].items():
            # Not by a condition: SAM makes no new deployment when only a parameter changes.
            assert response["responseParameters"]["gatewayresponse.header.Access-Control-Allow-Origin"] == "'*'", f"{api} {kind}"


def alarms_watch_what_is_written():
    ours = Path("shared/src/telemetry.rs").read_text() + Path("functions/usage-report/src/metrics.rs").read_text()
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        assert alarm["AlarmActions"] == [{"Ref": "ReportTopic"}], name
        if alarm.get("Namespace") == {"Ref": "MetricsNamespace"}:
            assert f'"{alarm["MetricName"]}"' in ours, f"{name}: nobody writes {alarm['MetricName']}"
            assert "Dimensions" not in alarm, name
    assert "KmsMasterKeyId" not in RESOURCES["ReportTopic"]["Properties"], "alarms could not publish"
    body = texts(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]).replace("${MetricsNamespace}", "BedrockRouter")
    widgets = json.loads(re.sub(r"\$\{[^}]+\}", "x", body))["widgets"]
    for metric in (metric for widget in widgets for metric in widget["properties"]["metrics"]):
        if metric[0] == "BedrockRouter":
            assert f'"{metric[1]}"' in ours, metric


for check in (
    every_method_streams_for_as_long_as_lambda_goes, every_method_but_health_has_an_authorizer, every_route_of_the_code_is_there_and_no_other,
    nothing_is_allowed_that_is_not_named, every_policy_is_as_small_as_iam_wants_it, every_variable_is_read_and_documented, a_change_of_settings_reaches_the_callers,
    a_gradual_deployment_goes_back_on_alarm, sites_see_what_api_gateway_refuses, alarms_watch_what_is_written,
):
    check()
    print(f"{check.__name__}: ok")
