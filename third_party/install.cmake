# SPDX-License-Identifier: Apache-2.0
# Installation of the C++ library: headers and elmanConfig.cmake for find_package(elman).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(ELMAN_CMAKE_DIR ${CMAKE_INSTALL_DATADIR}/cmake/elman)
install(DIRECTORY cpp/include/elman DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        FILES_MATCHING PATTERN "*.hpp")
install(TARGETS elman EXPORT elmanTargets)
install(EXPORT elmanTargets NAMESPACE elman:: DESTINATION ${ELMAN_CMAKE_DIR})
configure_package_config_file(third_party/elmanConfig.cmake.in elmanConfig.cmake
                              INSTALL_DESTINATION ${ELMAN_CMAKE_DIR})
write_basic_package_version_file(elmanConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/elmanConfig.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/elmanConfigVersion.cmake
        DESTINATION ${ELMAN_CMAKE_DIR})
