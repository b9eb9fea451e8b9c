# What one does with this project. Tools that are no part of a Rust toolchain go into target/tools and nowhere else.

TOOLS := target/tools
VENV := $(TOOLS)/venv/bin
export SAM_CLI_TELEMETRY := 0
# SAM's checks want a Region, whichever; what is deployed goes where AWS's own settings say.
validate: export AWS_DEFAULT_REGION ?= us-east-1

.PHONY: run check test openapi peers clients iam page fuzz load soak catalog catalog-check bench freeze parts build sam-local cargo-lambda smoke train package budget size validate deny deploy

# Everything on this machine, with no AWS account.
run:
	cargo run

# What must hold of every commit.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

test:
	cargo test --workspace

# Independent peers on both sides of the wire: boto3 asks our stand-in, OpenAI's SDK asks us, the router asks MiniStack.
peers: $(TOOLS)/peers/bin/ministack
	cargo build
	$(TOOLS)/peers/bin/python tests/peers/converse.py target/debug/local
	$(TOOLS)/peers/bin/python tests/peers/embeddings.py target/debug/local
	$(TOOLS)/peers/bin/python tests/peers/report.py target/debug/local

# Existing clients, unmodified, with another address: OpenAI's SDKs for Python and Node, LangChain, Pydantic AI, boto3, AWS's SDK for
# Node. Needs Node 20.
clients: $(TOOLS)/clients/bin/python $(TOOLS)/node/node_modules $(VENV)/cargo-lambda
	cargo build
	$(TOOLS)/clients/bin/python -B tests/peers/clients.py $(CURDIR)/target/debug/local $(VENV)/cargo-lambda $(TOOLS)/node

# The report's page in a headless Chromium, on a desk and on a phone; needs Debian's package chromium, or one at /usr/bin/chromium.
# Leaves pictures to look at in target/usage-report.
page: $(TOOLS)/page/bin/playwright
	cargo build
	$(TOOLS)/page/bin/python tests/peers/page.py target/debug/local

# The API against its own OpenAPI document: thousands of good and bad requests, no server error and no undocumented answer.
fuzz: $(TOOLS)/fuzz/bin/schemathesis
	cargo build
	$(TOOLS)/fuzz/bin/python -B tests/peers/fuzz.py target/debug/local

# The real bootstrap under load, over loopback: latencies, 20,000 requests with faults, memory. About two minutes.
load:
	cargo bench -p tests --bench load

# What takes longer: an 11 MB answer, and one that drips for more than five minutes.
soak:
	cargo bench -p tests --bench load -- soak

# shared/models.json, made anew from the public tables in catalog/requirements.txt and catalog/facts.json; prints what changed.
catalog: $(TOOLS)/catalog/installed
	$(TOOLS)/catalog/bin/python -B catalog/generate.py

# That the file is what `make catalog` makes, and that it agrees with LiteLLM's table.
catalog-check: $(TOOLS)/catalog/installed
	$(TOOLS)/catalog/bin/python -B catalog/generate.py --check
	$(TOOLS)/catalog/bin/python -B catalog/compare.py

# The OpenAPI document that is served, made anew from the types.
openapi:
	cargo run --quiet -- openapi > target/openapi.json
	mv target/openapi.json functions/router/openapi.json

# The models that the functions may invoke, made anew in template.yaml from the catalog and the routes.
iam:
	cargo run --quiet -- iam > target/template.yaml
	mv target/template.yaml template.yaml

# The learned router, made anew from labelled prompts; prints what it is worth. `make train DATA=folder`; train/README.md says of what.
train: $(TOOLS)/train/installed
	cargo build
	$(TOOLS)/train/bin/python -B train/train.py $(DATA)

# What the release functions cost in time and memory, beside a bare function that is built and measured with them: a table, and
# target/bench/overhead.json. About six minutes once everything is built.
bench: build
	PATH="$(CURDIR)/$(VENV):$$PATH" cargo lambda build --release --package bench --bin floor
	cargo run --profile bench --package bench --bin overhead

# What a minute's freeze with all connections closed does to the next call.
freeze: build
	cargo run --package bench --bin overhead -- freeze

# How long the parts of a call take: decision, pricing, wire formats, vectors, events.
parts:
	cargo bench -p bench --bench parts

# The functions as `sam build` makes them, for this machine's architecture; `make build ARCH=--arm64` needs the aarch64 target.
build: $(VENV)/cargo-lambda
	PATH="$(CURDIR)/$(VENV):$$PATH" cargo lambda build --release --bin router --bin embeddings --bin usage-report --bin authorizer $(ARCH)

# Bytes of each function's binary, and of its zip; an error for a zip above 4 MB.
budget: build
	python3 -B bench/size.py target/lambda

# The same, and the crates that weigh most; needs nm, of binutils.
size: build
	CARGO_PROFILE_RELEASE_STRIP=none PATH="$(CURDIR)/$(VENV):$$PATH" cargo lambda build --release \
		--bin router --bin embeddings --bin usage-report --bin authorizer --lambda-dir target/weighed
	python3 -B bench/size.py target/lambda target/weighed

# The template: by SAM, by cfn-lint, by checkov (what is kept is in .checkov.yaml), and what SAM's translator makes of it.
validate: $(VENV)/sam $(TOOLS)/checkov/bin/checkov
	$(VENV)/sam validate --lint
	$(VENV)/cfn-lint template.yaml
	$(TOOLS)/checkov/bin/checkov --config-file .checkov.yaml --file template.yaml
	$(VENV)/python -B tests/peers/template.py

deny: $(TOOLS)/bin/cargo-deny
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" cargo deny check licenses bans sources

# Every function with every event in SAM's container, against the local stand-ins; needs a Docker daemon. Takes a release build.
sam-local: $(VENV)/sam $(VENV)/cargo-lambda
	cargo build
	python3 -B tests/peers/sam_local.py $(CURDIR)/target/debug/local $(VENV)/sam

# The same without containers, by cargo-lambda's own emulator of the Runtime API.
cargo-lambda: $(VENV)/cargo-lambda
	cargo build
	python3 -B tests/peers/cargo_lambda.py $(CURDIR)/target/debug/local $(VENV)/cargo-lambda

# A few calls against a deployed stack, for less than a cent: `make smoke URL=...`, with AWS credentials or an API_KEY in the environment.
smoke:
	tests/smoke.sh $(URL)

# What `sam deploy` takes, for people without Rust: unpack it, and say `sam deploy` in it.
package: $(VENV)/sam $(VENV)/cargo-lambda
	PATH="$(CURDIR)/$(VENV):$$PATH" sam build
	cp samconfig.toml README.md LICENSE-APACHE LICENSE-MIT .aws-sam/build/
	tar -C .aws-sam/build -czf target/bedrock-router.tar.gz .
	@ls -l target/bedrock-router.tar.gz

# Into your AWS account, into the Region of your AWS settings.
deploy: $(VENV)/sam $(VENV)/cargo-lambda
	PATH="$(CURDIR)/$(VENV):$$PATH" sam build
	$(VENV)/sam deploy

$(TOOLS)/venv:
	python3 -m venv $@

$(VENV)/sam: | $(TOOLS)/venv
	$(VENV)/pip install --quiet aws-sam-cli==1.170.0

$(TOOLS)/checkov/bin/checkov:
	python3 -m venv $(TOOLS)/checkov
	$(TOOLS)/checkov/bin/pip install --quiet checkov==3.3.30

$(VENV)/cargo-lambda: | $(TOOLS)/venv
	$(VENV)/pip install --quiet cargo-lambda==1.9.2

$(TOOLS)/catalog/installed: catalog/requirements.txt
	python3 -m venv $(TOOLS)/catalog
	$(TOOLS)/catalog/bin/pip install --quiet --no-deps --requirement $<
	touch $@

$(TOOLS)/train/installed: train/requirements.txt
	python3 -m venv $(TOOLS)/train
	$(TOOLS)/train/bin/pip install --quiet --requirement $<
	touch $@

$(TOOLS)/peers/bin/ministack:
	python3 -m venv $(TOOLS)/peers
	$(TOOLS)/peers/bin/pip install --quiet boto3==1.44.8 openai==3.57.0 cbor2==6.3.0 defusedxml graphql-core hypercorn jsonata-python pyyaml
	$(TOOLS)/peers/bin/pip install --quiet --no-deps ministack==1.5.33

$(TOOLS)/clients/bin/python:
	python3 -m venv $(TOOLS)/clients
	$(TOOLS)/clients/bin/pip install --quiet openai==3.57.0 'pydantic-ai-slim[openai]==2.68.0' langchain-openai==1.7.4 boto3==1.44.8

$(TOOLS)/node/node_modules:
	mkdir -p $(TOOLS)/node
	npm install --silent --no-fund --no-audit --prefix $(TOOLS)/node openai@7.57.0 @aws-sdk/client-bedrock-runtime@3.1164.0

$(TOOLS)/page/bin/playwright:
	python3 -m venv $(TOOLS)/page
	$(TOOLS)/page/bin/pip install --quiet playwright==1.65.2

$(TOOLS)/fuzz/bin/schemathesis:
	python3 -m venv $(TOOLS)/fuzz
	$(TOOLS)/fuzz/bin/pip install --quiet schemathesis==4.32.5

$(TOOLS)/bin/cargo-deny:
	cargo install cargo-deny --version '^0.20' --locked --debug --quiet --root $(TOOLS)
