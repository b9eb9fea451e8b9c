"""CloudWatch's figures by independent hands: boto3 puts them into MiniStack, the report reads them."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import boto3
from stack import LOCAL, free_port, wait_for

HAIKU = "us.anthropic.claude-haiku-5-5"
TODAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = TODAY - timedelta(days=1)


def cloudwatch(port):
    return boto3.client(
        "cloudwatch", region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="test", aws_secret_access_key="test")


def report(port):
    environment = {
        "CLOUDWATCH_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }
    command = [LOCAL, "report", "--aws", "--json", "--window", "day", "--end", TODAY.strftime("%Y-%m-%dT%H:%M:%SZ")]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(made.stdout, parse_float=Decimal)


def put(client, name, value, at, **more):
    dimensions = [{"Name": "ModelId", "Value": HAIKU}] + [{"Name": key, "Value": tier} for key, tier in more.items()]
    client.put_metric_data(
        Namespace="AWS/Bedrock", MetricData=[{"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value}])


def the_report_reads_what_boto3_has_put():
    port = free_port()
    ministack = subprocess.Popen(
        [Path(sys.executable).with_name("ministack")], env={**os.environ, "GATEWAY_PORT": str(port)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        client = cloudwatch(port)
        for hour, calls in ((1, 3), (23, 4)):
            at = DAY + timedelta(hours=hour)
            put(client, "Invocations", calls, at)
            put(client, "InputTokenCount", 1000 * calls, at)
            put(client, "OutputTokenCount", 100 * calls, at)
        made = report(port)
        row = made["models"][0]
        assert (row["invocations"], row["inputTokens"], row["outputTokens"]) == (7, 7000, 700), made
        assert row["costUsd"] == Decimal("0.11") * 7000 / 10**6 + Decimal("0.55") * 700 / 10**6, row
        # The same calls once more by service tier, and without any dimension, change nothing.
        at = DAY + timedelta(hours=1)
        put(client, "Invocations", 3, at, ServiceTier="default", ResolvedServiceTier="default")
        put(client, "InputTokenCount", 3000, at, ServiceTier="default", ResolvedServiceTier="default")
        client.put_metric_data(Namespace="AWS/Bedrock", MetricData=[{"MetricName": "Invocations", "Timestamp": at, "Value": 7}])
        again = report(port)
        assert again["models"] == made["models"], again
    finally:
        ministack.terminate()
        ministack.wait()


the_report_reads_what_boto3_has_put()
print("the_report_reads_what_boto3_has_put: ok")
