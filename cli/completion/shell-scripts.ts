/**
 * What `skein completion SHELL` prints: small scripts that ask `skein __complete`. Pure (a table).
 * bash cuts words at "=" and ":"; they are put together again, and answers lose what bash has already.
 */
const BASH = `# bash completion for skein: source <(skein completion bash)
_skein() {
  local -a words=() lines=()
  local word glue="" i cut directive
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ \${#words[@]} -gt 0 && ( -n $glue || $word =~ ^[=:]+$ ) ]]; then
      words[\${#words[@]}-1]+=$word
      glue=""
      [[ $word =~ ^[=:]+$ ]] && glue=1
    else
      words+=("$word")
    fi
  done
  COMPREPLY=()
  mapfile -t lines < <("\${COMP_WORDS[0]}" __complete "\${words[@]}" 2>/dev/null)
  [[ \${#lines[@]} -gt 0 ]] || return
  directive=\${lines[-1]}
  unset 'lines[-1]'
  word=\${words[-1]}
  cut=\${word%"\${word##*[=:]}"}
  for word in "\${lines[@]}"; do
    word=\${word%%$'\\t'*}
    COMPREPLY+=("\${word#"$cut"}")
  done
  [[ $directive == *nospace* ]] && compopt -o nospace 2>/dev/null
  [[ $directive == *files* ]] && compopt -o default 2>/dev/null
  return 0
}
complete -F _skein skein
`;

const ZSH = `#compdef skein
# zsh completion for skein: source <(skein completion zsh), or save as _skein in a folder of $fpath
_skein() {
  local -a lines values
  local line directive
  lines=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  directive=\${lines[-1]}
  for line in "\${(@)lines[1,-2]}"; do
    values+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  if (( \${#values} )); then
    if [[ $directive == *nospace* ]]; then
      _describe -t skein skein values -S ''
    else
      _describe -t skein skein values
    fi
  fi
  [[ $directive == *files* ]] && _files
  return 0
}
if [[ \${funcstack[1]} == _skein ]]; then
  _skein "$@"
else
  compdef _skein skein
fi
`;

const FISH = `# fish completion for skein: skein completion fish | source
function __skein_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l lines (command $words[1] __complete $words[2..-1] 2>/dev/null)
    for line in $lines
        if string match -q ':*' -- $line
            string match -q '*files*' -- $line; and __fish_complete_path (commandline -ct)
        else
            echo $line
        end
    end
end
complete -c skein -f -a '(__skein_complete)'
`;

export const SHELL_SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
