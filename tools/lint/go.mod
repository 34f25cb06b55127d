module github.com/oslorpc/oslorpc/tools/lint

go 1.26
